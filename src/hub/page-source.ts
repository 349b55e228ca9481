import type { Page } from '../broker/broker.ts'
import type { Clock } from '../clock.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { ChannelSelector } from './channel.ts'
import type { LogTail } from './log-tail.ts'
import { PAGE, type Reads } from './reads.ts'

const MIN_BACK_OFF_MS = 100
const MAX_BACK_OFF_MS = 5_000

/** Whom the pages are for. */
export interface PageReceiver {
  /** A read has answered; it is to be asked for the next page again. */
  arrived(page: Page): void
  /** A read has failed, the first of them so long ago; it is to be asked again when `again` is called. */
  failed(error: unknown, forMs: number): void
  /** It may ask for the next page. */
  again(): void
}

/**
 * Where one subscription gets its pages from: memory, at once, as soon as a read has reached the end of the log; reads
 * before that, and whenever it has fallen behind what memory holds. A read that fails is repeated with back-off.
 */
export class PageSource {
  readonly #tail: LogTail
  readonly #reads: Reads
  readonly #clock: Clock
  readonly #receiver: PageReceiver
  /**
   * The last read reached the end of the log, so memory can serve what came since: it has all of it, and every loss up to
   * there has been told. In the middle of a read neither holds: memory may even have an event that the log has lost, and
   * would hide a loss before it that is told only with it.
   */
  #reachedEnd: boolean
  #reading = false
  /** Counts changes of the selector: what was read for an old one is of no use. */
  #generation = 0
  /** When reads began to fail; undefined while they do not. */
  #failingSince: number | undefined
  #backOffMs = MIN_BACK_OFF_MS
  #retryTimer: unknown
  #stopped = false

  /** `reachedEnd`: whether the receiver had everything up to the position that it will ask from. */
  constructor(host: { tail: LogTail; reads: Reads; clock: Clock }, receiver: PageReceiver, reachedEnd: boolean) {
    this.#tail = host.tail
    this.#reads = host.reads
    this.#clock = host.clock
    this.#receiver = receiver
    this.#reachedEnd = reachedEnd
  }

  /** A read is under way, or will be repeated. */
  get isReading(): boolean {
    return this.#reading
  }

  get reachedEnd(): boolean {
    return this.#reachedEnd
  }

  /** The next page from memory. */
  recent(after: Cursor, selector: ChannelSelector): Page | undefined {
    return this.#reachedEnd ? this.#tail.read(after, selector, PAGE) : undefined
  }

  /** Reads the page after `after`, or the last `latest` events of each channel. */
  read(after: Cursor | undefined, selector: ChannelSelector, latest: number): void {
    const generation = this.#generation
    const wanted = () => !this.#stopped && generation === this.#generation
    this.#reading = true
    const page = latest > 0 ? this.#reads.latest(latest, selector, wanted) : this.#reads.read(after, selector, wanted)
    page.then(
      (page) => {
        if (page === undefined || !wanted()) return
        this.#reading = false
        this.#failingSince = undefined
        this.#backOffMs = MIN_BACK_OFF_MS
        this.#reachedEnd = page.end
        this.#receiver.arrived(page)
      },
      (error) => {
        if (wanted()) this.#failed(error)
      },
    )
  }

  /** The selector has changed: what is under way is dropped, and memory knows nothing of the new one. */
  reset(): void {
    this.#generation++
    this.#reachedEnd = false
    this.#reading = false
    this.#clock.clearTimeout(this.#retryTimer)
  }

  stop(): void {
    this.#stopped = true
    this.#clock.clearTimeout(this.#retryTimer)
  }

  #failed(error: unknown): void {
    const now = this.#clock.monotonic()
    this.#failingSince ??= now
    this.#retryTimer = this.#clock.setTimeout(() => {
      this.#reading = false
      this.#receiver.again()
    }, this.#backOffMs)
    this.#backOffMs = Math.min(this.#backOffMs * 2, MAX_BACK_OFF_MS)
    this.#receiver.failed(error, now - this.#failingSince)
  }
}
