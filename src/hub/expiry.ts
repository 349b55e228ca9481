import { type Clock, MAX_DELAY_MS } from '../clock.ts'

/** Calls back once, at the earliest of the given times. */
export class Expiry {
  readonly #clock: Clock
  readonly #onExpired: () => void
  #at = Number.POSITIVE_INFINITY
  #timer: unknown

  constructor(clock: Clock, onExpired: () => void) {
    this.#clock = clock
    this.#onExpired = onExpired
  }

  /** Expires at `time`, in milliseconds of the wall clock, unless an earlier time is set. */
  until(time: number): void {
    if (time >= this.#at) return
    this.#at = time
    this.#arm()
  }

  /** Calls back if the time has passed although the timer has not fired: timers stop while a machine sleeps. */
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
    // A timer reaches no further than 24 days, and the wall clock may have been stepped since.
    this.#timer = this.#clock.setTimeout(
      () => (this.#clock.now() >= this.#at ? this.#onExpired() : this.#arm()),
      Math.min(ms, MAX_DELAY_MS),
    )
  }
}
