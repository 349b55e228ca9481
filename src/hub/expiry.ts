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

  /** Expires at `date`, unless that was to be earlier already. */
  until(date: Date | undefined): void {
    if (date === undefined || date.getTime() >= this.#at) return
    this.#at = date.getTime()
    this.#arm()
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
