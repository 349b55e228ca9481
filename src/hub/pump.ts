import type { Clock } from '../clock.ts'
import { nextTurn } from '../server-clock.ts'

/** A subscription that is catching up. */
export interface Catching {
  /** Writes one page, if one is available at once. Returns the number of bytes written. */
  step(): number
}

const ROUND_BYTES = 2 * 1024 * 1024
const ROUND_MS = 5

/**
 * Serves the subscriptions that are catching up in turn, one page each. A round ends after 2 MiB or 5 ms, and then the
 * event loop runs other code. Replay is paced, never capped: a cap would have to be reported as a gap.
 */
export class Pump {
  readonly #clock: Clock
  /** The subscriptions that wait for a turn, in order. */
  readonly #queue = new Set<Catching>()
  #scheduled = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Queues `member` at the end, unless it is waiting already. */
  add(member: Catching): void {
    this.#queue.add(member)
    if (this.#scheduled) return
    this.#scheduled = true
    nextTurn(() => this.#round())
  }

  delete(member: Catching): void {
    this.#queue.delete(member)
  }

  #round(): void {
    this.#scheduled = false
    const end = this.#clock.monotonic() + ROUND_MS
    let bytes = 0
    // Members that return to the queue in this round are served in the next: each gets one page.
    const round = [...this.#queue]
    for (const member of round) {
      if (bytes >= ROUND_BYTES || this.#clock.monotonic() > end) break
      if (this.#queue.delete(member)) bytes += member.step()
    }
    if (this.#queue.size > 0 && !this.#scheduled) {
      this.#scheduled = true
      nextTurn(() => this.#round())
    }
  }
}
