import type { Clock } from '../../clock.ts'

/**
 * The time of the log: never before the server's time when the node started, and from then on with the monotonic clock.
 * A stepped wall clock ages no event.
 */
export class LogTime {
  readonly #clock: Clock
  #offset = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The time was at least this at the current moment. */
  learn(time: number): void {
    this.#offset = Math.max(this.#offset, time - this.#clock.monotonic())
  }

  now(): number {
    return Math.floor(this.#clock.monotonic() + this.#offset)
  }
}
