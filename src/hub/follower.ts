import type { Page } from '../broker/broker.ts'
import { type Cursor, formatCursor, isAhead, isSame, parseCursor } from '../protocol/cursor.ts'
import type { ChannelSelector } from './channel.ts'
import type { HubEnvironment } from './environment.ts'
import type { Fault } from './notice.ts'
import { PAGE } from './reads.ts'

/** The request of a new subscriber. */
export interface Start {
  /** Where to resume: the text of a cursor; `''` = at the end of the log. */
  readonly after: string
  /** Kept events of each channel to begin with where there is no usable position. */
  readonly rewind: number
}

/** A page of the log, and how it follows on the position before it. */
export interface FollowedPage {
  readonly page: Page
  /** The fault of that position, if it has one. */
  readonly status: 'ok' | Fault
  /** That position, as the subscriber gave it. */
  readonly from: string
  /** The page holds the latest events of each channel, and not those after a position. */
  readonly isRewind: boolean
}

/**
 * Follows the log for one subscriber: from a start, by pages, to the end. The first page comes from a read, and so does
 * each page until a read has reached the end of the log; from there on memory serves, at once.
 */
export class Follower {
  readonly #environment: Pick<HubEnvironment, 'tail' | 'reads'>
  #selector: ChannelSelector
  /** Present until the first page was taken. */
  #start: Start | undefined
  /** The subscriber has everything up to here; undefined = the end of the log at the first read. */
  #position: Cursor | undefined
  /**
   * The last read reached the end of the log, so memory can serve the events since: it has all of them, and every loss up
   * to there was reported. In the middle of a read neither holds: memory may even have an event that the log has lost,
   * and would hide a loss before it that only the read reports.
   */
  #reachedEnd = false

  private constructor(
    environment: Pick<HubEnvironment, 'tail' | 'reads'>,
    selector: ChannelSelector,
    start: Start | undefined,
    position: Cursor | undefined,
  ) {
    this.#environment = environment
    this.#selector = selector
    this.#start = start
    this.#position = position
  }

  /** For a new subscriber. */
  static start(environment: Pick<HubEnvironment, 'tail' | 'reads'>, selector: ChannelSelector, start: Start): Follower {
    return new Follower(environment, selector, start, parseCursor(start.after))
  }

  /** For a subscriber that was live, and has everything up to `position`. */
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

  /** Whether all events are read that the hub has handed over, and no loss can be hidden among them. */
  get isAtEnd(): boolean {
    const { top } = this.#environment.tail
    return this.#reachedEnd && (isSame(this.#position!, top) || isAhead(this.#position!, top))
  }

  /** Whether a read overtook the hub: the broker has not handed over everything up to the position yet. */
  get isAheadOfHub(): boolean {
    return this.#reachedEnd && isAhead(this.#position!, this.#environment.tail.top)
  }

  /** The next page from memory; undefined where memory does not reach. */
  recent(): FollowedPage | undefined {
    if (!this.#reachedEnd) return undefined
    const page = this.#environment.tail.read(this.#position!, this.#selector, PAGE)
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
      page = await reads.read(this.#position, selector, wanted)
      if (rewind > 0 && page?.status === 'unknown-epoch') fault = page.status
    }
    const isRewind = rewind > 0 && (this.#position === undefined || fault !== undefined)
    if (isRewind && wanted()) page = await reads.latest(rewind, selector, wanted)
    if (page === undefined || !wanted()) return undefined
    this.#reachedEnd = page.end
    return this.#follow(page, fault, isRewind)
  }

  /** The subscriber has this page. */
  advance({ page }: FollowedPage): void {
    this.#position = page.upto
    this.#start = undefined
  }

  /** The subscriber has everything up to `position` and, unlike before, perhaps nothing after it. */
  moveTo(position: Cursor): void {
    this.#position = position
  }

  /** Follows these channels from here on. Memory may lack what was published to them before. */
  select(selector: ChannelSelector): void {
    this.#selector = selector
    this.#reachedEnd = false
  }

  #follow(page: Page, fault?: Fault, isRewind = false): FollowedPage {
    const after = this.#start?.after ?? ''
    const position = this.#position
    if (after !== '' && position === undefined) fault = 'bad-cursor'
    const from = after === '' ? formatCursor(position ?? page.from) : after
    return { page, status: fault ?? page.status, from, isRewind }
  }
}
