import type { Clock } from '../clock.ts'
import { isSseError, SseError } from '../errors.ts'

/** The time that the head of a stream waits for the first page; then the client is asked to reconnect. */
const FIRST_PAGE_MS = 5_000

/** A subscription before its first block: its request can still be refused. */
export class Opening {
  /** The position in the request. */
  readonly after: string
  /** Settles when the first block is written, the client has left, or the request is refused. */
  readonly begun: Promise<void>
  /** The head is out, because the first block takes long: the request can no longer be refused. */
  hasHead = false
  readonly #clock: Clock
  readonly #onLate: (error: SseError) => void
  #resolve!: () => void
  #reject!: (error: unknown) => void
  #timer: unknown

  constructor(clock: Clock, after: string, onLate: (error: SseError) => void) {
    this.#clock = clock
    this.after = after
    this.#onLate = onLate
    this.begun = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.begun.catch(() => {})
  }

  /** From now on the broker has 5 s for the first page. */
  expectPage(): void {
    this.#timer = this.#clock.setTimeout(() => {
      this.#onLate(new SseError('ERR_SSE_OVERLOADED', `The broker did not answer within ${FIRST_PAGE_MS} ms.`))
    }, FIRST_PAGE_MS)
  }

  /** The subscription waits for something other than the broker. */
  pause(): void {
    this.#clock.clearTimeout(this.#timer)
  }

  end(): void {
    this.pause()
    this.#resolve()
  }

  refuse(error: unknown): void {
    this.pause()
    this.#reject(error)
  }
}

/** The error of a broker as a temporary refusal: a status of 500 would end an EventSource permanently. */
export function asRefusal(error: unknown): SseError {
  if (isSseError(error)) return error
  return new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'The broker failed. Try again later.', { cause: error })
}
