import type { Clock } from '../../clock.ts'

/**
 * The time of the log: never before that of the server when the node started, and from there on that of the monotonic
 * clock. A stepped wall clock ages nothing.
 */
export class LogTime {
  readonly #clock: Clock
  #offset = 0

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The time was at least this at this moment. */
  learn(time: number): void {
    this.#offset = Math.max(this.#offset, time - this.#clock.monotonic())
  }

  now(): number {
    return Math.floor(this.#clock.monotonic() + this.#offset)
  }
}
