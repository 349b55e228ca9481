import { type Clock, MAX_DELAY_MS } from '../clock.ts'

/** Calls back at the earliest of the dates it is told, once. */
export class Expiry {
  readonly #clock: Clock
  readonly #onExpired: () => void
  #at = Number.POSITIVE_INFINITY
  #timer: unknown

  constructor(clock: Clock, onExpired: () => void) {
    this.#clock = clock
    this.#onExpired = onExpired
  }

  /** Expires at `time`, in milliseconds of the wall clock, unless that was to be earlier already. */
  until(time: number): void {
    if (time >= this.#at) return
    this.#at = time
    this.#arm()
  }

  /** Calls back when the time is over although the timer has not fired: it does not run while a machine sleeps. */
  check(): void {
    if (Number.isFinite(this.#at) && this.#clock.now() >= this.#at) this.#onExpired()
  }

  stop(): void {
    this.#clock.clearTimeout(this.#timer)
    this.#at = Number.NEGATIVE_INFINITY
  }

  #arm(): void {
    this.#clock.clearTimeout(this.#timer)
    const ms = Math.max(0, this.#at - this.#clock.now())
    // A timer reaches no further than 24 days, and the wall clock may have been stepped meanwhile.
    this.#timer = this.#clock.setTimeout(
      () => (this.#clock.now() >= this.#at ? this.#onExpired() : this.#arm()),
      Math.min(ms, MAX_DELAY_MS),
    )
  }
}
