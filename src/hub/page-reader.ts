import type { Clock } from '../clock.ts'
import type { FollowedPage, Follower } from './follower.ts'

const MIN_BACK_OFF_MS = 100
const MAX_BACK_OFF_MS = 5_000

/** The receiver of the pages that a PageReader reads. */
export interface PageReceiver {
  arrived(next: FollowedPage): void
  /** A read failed. Reads have been failing for `forMs`. */
  failed(error: unknown, forMs: number): void
  /** The time to read again after a failure. */
  retry(): void
}

/** Reads pages of the log for one subscription, one at a time. A read that fails is repeated with back-off. */
export class PageReader {
  readonly #clock: Clock
  readonly #receiver: PageReceiver
  /** Identifies the read in progress; a read that was given up has another object. */
  #reading: object | undefined
  /** The time of the first failed read in a row; undefined after a success. */
  #failingSince: number | undefined
  #backOffMs = MIN_BACK_OFF_MS
  #retryTimer: unknown

  constructor(clock: Clock, receiver: PageReceiver) {
    this.#clock = clock
    this.#receiver = receiver
  }

  read(follower: Follower): void {
    const reading = {}
    this.#reading = reading
    const wanted = () => this.#reading === reading
    follower.read(wanted).then(
      (next) => {
        if (next === undefined || !wanted()) return
        this.#failingSince = undefined
        this.#backOffMs = MIN_BACK_OFF_MS
        this.#receiver.arrived(next)
      },
      (error) => {
        if (wanted()) this.#failed(error)
      },
    )
  }

  /** Gives up the read in progress, or its repetition. */
  cancel(): void {
    this.#reading = undefined
    this.#clock.clearTimeout(this.#retryTimer)
  }

  #failed(error: unknown): void {
    const now = this.#clock.monotonic()
    this.#failingSince ??= now
    this.#retryTimer = this.#clock.setTimeout(() => this.#receiver.retry(), this.#backOffMs)
    this.#backOffMs = Math.min(this.#backOffMs * 2, MAX_BACK_OFF_MS)
    this.#receiver.failed(error, now - this.#failingSince)
  }
}
