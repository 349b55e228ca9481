import type { Clock } from '../clock.ts'
import { nextTurn } from '../server-clock.ts'

/** A stream that gets a call at every interval. */
export interface Beating {
  heartbeat(): void
}

/** The number of calls before the event loop gets its turn: a round over 10,000 streams would block it for long. */
const SLICE = 1_000

/** One timer for all streams of one clock and interval; it runs only while there are any. */
export class Heartbeat {
  readonly #clock: Clock
  readonly #intervalMs: number
  readonly #members = new Set<Beating>()
  #timer: unknown

  private constructor(clock: Clock, intervalMs: number) {
    this.#clock = clock
    this.#intervalMs = intervalMs
  }

  static readonly #shared = new WeakMap<Clock, Map<number, Heartbeat>>()

  static of(clock: Clock, intervalMs: number): Heartbeat {
    let byInterval = Heartbeat.#shared.get(clock)
    if (byInterval === undefined) {
      byInterval = new Map()
      Heartbeat.#shared.set(clock, byInterval)
    }
    let heartbeat = byInterval.get(intervalMs)
    if (heartbeat === undefined) {
      heartbeat = new Heartbeat(clock, intervalMs)
      byInterval.set(intervalMs, heartbeat)
    }
    return heartbeat
  }

  add(member: Beating): void {
    this.#members.add(member)
    if (this.#timer === undefined) this.#schedule()
  }

  delete(member: Beating): void {
    if (!this.#members.delete(member) || this.#members.size > 0) return
    this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #schedule(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#schedule()
      this.#beat([...this.#members], 0)
    }, this.#intervalMs)
  }

  #beat(round: readonly Beating[], from: number): void {
    const end = Math.min(from + SLICE, round.length)
    for (let i = from; i < end; i++) {
      const member = round[i]!
      // It may have left since the round began.
      if (this.#members.has(member)) member.heartbeat()
    }
    if (end < round.length) nextTurn(() => this.#beat(round, end))
  }
}
