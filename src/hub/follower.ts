import type { Page, PageLimit } from '../broker/broker.ts'
import { type Cursor, formatCursor, hasReached, isAhead, parseCursor } from '../protocol/cursor.ts'
import type { ChannelSelector } from './channel.ts'
import type { HubEnvironment } from './environment.ts'
import type { Fault } from './notice.ts'
import { PAGE, REWIND } from './reads.ts'

/** The request of a new subscriber. */
export interface Start {
  /** The position to resume from, as the text of a cursor; `''` = the end of the log. */
  readonly after: string
  /** The number of kept events of each channel to start with if there is no usable position. */
  readonly rewind: number
}

/** A page of the log, and its relation to the position before it. */
export interface FollowedPage {
  readonly page: Page
  /** The position before the page; undefined = none yet. */
  readonly after: Cursor | undefined
  /** The fault of that position, if it has one. */
  readonly status: 'ok' | Fault
  /** That position, as the subscriber gave it. */
  readonly from: string
  /** The page has the latest events of each channel, not those after a position. */
  readonly isRewind: boolean
  /** The end of the page was left out: memory may hide the losses in it. */
  readonly isCut?: boolean
}

/**
 * Follows the log for one subscriber: from a start, page by page, to the end. The first page comes from a read, and so
 * does each page until a read has reached the end of the log. From there on memory serves, at once.
 */
export class Follower {
  readonly #environment: Pick<HubEnvironment, 'tail' | 'reads'>
  #selector: ChannelSelector
  /** Present until the first page was taken. */
  #start: Start | undefined
  /** The maximum of each page; undefined = those of a stream. */
  readonly #limit: PageLimit | undefined
  /** The subscriber is complete up to here; undefined = the end of the log at the first read. */
  #position: Cursor | undefined
  /**
   * The last read reached the end of the log, so memory can serve the later events: it has all of them, and every
   * earlier loss was reported. During a read neither is true: memory may have an event that the log has lost, and would
   * hide an earlier loss that only the read reports.
   */
  #reachedEnd = false

  private constructor(
    environment: Pick<HubEnvironment, 'tail' | 'reads'>,
    selector: ChannelSelector,
    start: Start | undefined,
    position: Cursor | undefined,
    limit?: PageLimit,
  ) {
    this.#limit = limit
    this.#environment = environment
    this.#selector = selector
    this.#start = start
    this.#position = position
  }

  /** For a new subscriber. `limit`: the maximum of its pages. Default: that of streams. */
  static start(
    environment: Pick<HubEnvironment, 'tail' | 'reads'>,
    selector: ChannelSelector,
    start: Start,
    limit?: PageLimit,
  ): Follower {
    return new Follower(environment, selector, start, parseCursor(start.after), limit)
  }

  /** For a subscriber that was live and is complete up to `position`. */
  static resume(
    environment: Pick<HubEnvironment, 'tail' | 'reads'>,
    selector: ChannelSelector,
    position: Cursor,
  ): Follower {
    const follower = new Follower(environment, selector, undefined, position)
    follower.#reachedEnd = true
    return follower
  }

  get position(): Cursor | undefined {
    return this.#position
  }

  /** Whether every event that was handed over has been read, without a hidden loss among them. */
  get isAtEnd(): boolean {
    const { top } = this.#environment.tail
    return this.#reachedEnd && hasReached(this.#position!, top)
  }

  /** Whether a read overtook the hub: the broker has not handed over every event up to the position yet. */
  get isAheadOfHub(): boolean {
    return this.#reachedEnd && isAhead(this.#position!, this.#environment.tail.top)
  }

  /** The next page from memory; undefined if memory does not reach back that far. */
  recent(): FollowedPage | undefined {
    if (!this.#reachedEnd) return undefined
    const page = this.#environment.tail.read(this.#position!, this.#selector, this.#limit ?? PAGE)
    return page && this.#follow(page)
  }

  /** The next page from the log. Undefined when it is no longer `wanted`. Rejects with the error of the broker. */
  async read(wanted: () => boolean): Promise<FollowedPage | undefined> {
    const { reads } = this.#environment
    const selector = this.#selector
    const rewind = this.#start?.rewind ?? 0
    let fault: Fault | undefined
    let page: Page | undefined
    if (this.#position !== undefined || rewind === 0) {
      page = await reads.read(this.#position, selector, this.#limit ?? PAGE, wanted)
      if (rewind > 0 && page?.status === 'unknown-epoch') fault = page.status
    }
    const isRewind = rewind > 0 && (this.#position === undefined || fault !== undefined)
    if (isRewind && wanted()) page = await reads.latest(rewind, selector, this.#limit ?? REWIND, wanted)
    if (page === undefined || !wanted()) return undefined
    this.#reachedEnd = page.end
    return this.#follow(page, fault, isRewind)
  }

  /** The subscriber does not use the page that was read last: it is read again. */
  dropPage(): void {
    this.#reachedEnd = false
  }

  /** The subscriber has received this page. */
  advance({ page, isCut }: FollowedPage): void {
    this.#position = page.upto
    if (isCut) this.#reachedEnd = false
    this.#start = undefined
  }

  /** The subscriber is complete up to `position`, and may lack later events. */
  moveTo(position: Cursor): void {
    this.#position = position
  }

  /** The subscriber continues at `position`, where its state was written. The next page comes from the log. */
  restart(position: Cursor): void {
    this.#position = position
    this.#start = undefined
    this.#reachedEnd = false
  }

  /** Follows these channels from here on. Memory may lack their earlier events. */
  select(selector: ChannelSelector): void {
    this.#selector = selector
    this.#reachedEnd = false
  }

  #follow(page: Page, fault?: Fault, isRewind = false): FollowedPage {
    const after = this.#start?.after ?? ''
    const position = this.#position
    if (after !== '' && position === undefined) fault = 'bad-cursor'
    const from = after === '' ? formatCursor(position ?? page.from) : after
    return { page, after: position, status: fault ?? page.status, from, isRewind }
  }
}
