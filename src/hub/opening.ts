import type { Clock } from '../clock.ts'
import { isSseError, SseError } from '../errors.ts'
import { encodeComment } from '../protocol/encode.ts'
import { Frame } from '../protocol/frame.ts'
import type { FollowedPage } from './follower.ts'
import type { Subscriber } from './subscriber.ts'

/** The time that the head of a stream waits for the first page; then the client is asked to reconnect. */
const FIRST_PAGE_MS = 5_000
const COMMENT = Frame.of(encodeComment(''))

/** A subscription before its first block: its request can still be refused. */
export class Opening {
  /** The position in the request. */
  readonly after: string
  /** Settles when the first block is written, the client has left, or the request is refused. */
  readonly begun: Promise<void>
  /** The head is out, because the first block takes long: the request can no longer be refused. */
  hasHead = false
  readonly #stream: Pick<Subscriber, 'commit' | 'write'>
  readonly #clock: Clock
  readonly #onLate: (error: SseError) => void
  #resolve!: () => void
  #reject!: (error: unknown) => void
  #timer: unknown

  constructor(
    stream: Pick<Subscriber, 'commit' | 'write'>,
    clock: Clock,
    after: string,
    onLate: (error: SseError) => void,
  ) {
    this.#stream = stream
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

  /** Sends the head with a comment, because the first block may take long. Returns and throws as `write` does. */
  sendHead(): boolean {
    this.pause()
    return this.hasHead || this.write([COMMENT])
  }

  /** Writes frames, the first of them with the head. False if there is no stream to write to; throws if it has a head. */
  write(frames: readonly Frame[]): boolean {
    if (this.hasHead) for (const frame of frames) this.#stream.write(frame)
    else this.hasHead = this.#stream.commit(frames)
    return this.hasHead
  }

  /** Whether a stream that begins with this page resumes at the position in the request. */
  isResumed({ status }: FollowedPage): boolean {
    return status === 'ok' && this.after !== ''
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
