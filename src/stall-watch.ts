import type { Clock } from './clock.ts'

/** The number of checks within the limit. */
const LOOKS = 4

/**
 * Watches a lagging peer for progress, counted in bytes that the kernel took: a single large write may take long. Runs
 * only while the peer lags.
 */
export class StallWatch {
  readonly #clock: Clock
  readonly #limitMs: number
  readonly #peer: { readonly unsentBytes: number }
  readonly #onStall: () => void
  #timer: unknown
  #unsent = 0
  #progressAt = 0

  /** `limitMs`: 0 = never. */
  constructor(clock: Clock, limitMs: number, peer: { readonly unsentBytes: number }, onStall: () => void) {
    this.#clock = clock
    this.#limitMs = limitMs
    this.#peer = peer
    this.#onStall = onStall
  }

  start(): void {
    if (this.#limitMs === 0) return
    this.stop()
    this.#unsent = this.#peer.unsentBytes
    this.#progressAt = this.#clock.monotonic()
    this.#arm()
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #arm(): void {
    this.#timer = this.#clock.setTimeout(() => this.#look(), Math.ceil(this.#limitMs / LOOKS))
  }

  #look(): void {
    const unsent = this.#peer.unsentBytes
    const now = this.#clock.monotonic()
    if (unsent !== this.#unsent) {
      this.#unsent = unsent
      this.#progressAt = now
    }
    if (now - this.#progressAt >= this.#limitMs) this.#onStall()
    else this.#arm()
  }
}
