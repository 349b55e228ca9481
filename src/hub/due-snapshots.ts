import { isLoss, type Loss, type Page } from '../broker/broker.ts'
import { covers, isPattern } from '../channel-name.ts'
import { type Cursor, formatCursor, hasReached, isAhead } from '../protocol/cursor.ts'
import type { ChannelSelector } from './channel.ts'
import type { FollowedPage } from './follower.ts'
import type { Gap } from './notice.ts'
import type { Listing, Snapshot, SnapshotSource } from './snapshot-source.ts'

/** Snapshots that a subscriber needs before its next page. */
export interface Due {
  /** Channels and patterns. */
  readonly names: readonly string[]
  /** The position of the subscriber, and the only ID of the snapshots. */
  readonly at: Cursor
  /** The snapshots must be good up to here: later than `at` with a rewind page only. */
  readonly upto: Cursor
  /** The position itself, snapshots that were asked for, or losses in mid-stream. */
  readonly why: 'position' | 'request' | 'loss'
}

/** Snapshots as they were taken. */
export interface Taken {
  readonly snapshots: readonly Snapshot[]
  /** Without the channels that a hook denies. */
  readonly listings: readonly Listing[]
  /** Channels whose function has no snapshot of them: they are treated as ordinary channels. */
  readonly without: ReadonlySet<string>
  /** The epoch of the log changed meanwhile: the position must be read again, and these are of no use. */
  readonly isStale: boolean
}

/** For a subscriber that wants snapshots; undefined where no channel has one. `snapshot`: see SubscribeRequest. */
export function dueSnapshots(
  source: SnapshotSource | undefined,
  selector: ChannelSelector,
  { snapshot }: { readonly snapshot?: boolean | undefined },
): DueSnapshots | undefined {
  if (source === undefined || snapshot === false) return undefined
  return new DueSnapshots(source, selector, { isDue: snapshot === true })
}

/**
 * The snapshots of one subscriber: which are due, and which part of the log they contain already. At every ID that a
 * client has received its state is whole: later events bring it up to date, or they were lost and a snapshot follows.
 */
export class DueSnapshots {
  readonly #source: SnapshotSource
  #selector: ChannelSelector
  /** Those of its channels and patterns that have state, and can be asked for it. */
  #names: readonly string[]
  /** Resolvers of `written`. */
  #onWritten: (() => void)[] = []
  /** Due with the next page, whatever it is. */
  #pending: Set<string>
  /** Everything from here on is good: the snapshots were written at this position. */
  #goodFrom: Cursor | undefined
  /** Up to where the state of a channel contains the log. */
  readonly #contained = new Map<string, Cursor>()
  /** Up to these positions the channels of the patterns that are not listed have no state. */
  #listings: readonly Listing[] = []

  /** `isDue`: the request asks for its snapshots, whatever its position. */
  constructor(source: SnapshotSource, selector: ChannelSelector, { isDue }: { isDue: boolean }) {
    this.#source = source
    this.#selector = selector
    this.#names = this.#askable()
    this.#pending = new Set(isDue ? this.#names : [])
  }

  /** Makes the snapshots of the patterns due: each request decides anew which channels they stand for. */
  expectPatterns(): void {
    for (const name of this.#names) if (isPattern(name)) this.#pending.add(name)
  }

  /** The subscriber has other channels. The snapshots of the added ones are due. */
  select(selector: ChannelSelector): void {
    const before = new Set(this.#names)
    this.#selector = selector
    this.#names = this.#askable()
    for (const name of this.#names) if (!before.has(name)) this.#pending.add(name)
    for (const name of this.#pending) if (!this.#names.includes(name)) this.#pending.delete(name)
  }

  /** Resolves when the snapshots of these channels and patterns are written, or will not be. */
  async written(names: readonly string[]): Promise<void> {
    while (names.some((name) => this.#pending.has(name))) {
      await new Promise<void>((resolve) => this.#onWritten.push(resolve))
    }
  }

  /** The subscriber has left. */
  stop(): void {
    this.#pending.clear()
    this.#settle()
  }

  /** The page without the events and losses that the state contains, and up to the first loss of a state channel. */
  trim(next: FollowedPage): FollowedPage {
    const { page } = next
    if (!this.#selector.hasState) return next
    const isWhole = this.#contained.size === 0 && this.#listings.length === 0
    const items = isWhole ? page.items : page.items.flatMap((item) => this.#uncontained(item, page))
    const at = items.findIndex((item) => isLoss(item) && this.#stateOf(item).length > 0)
    if (at > 0 && !this.#isUnusable(next)) return { ...next, page: upTo(page, items.slice(0, at)), isCut: true }
    // The same page is joined once for all of its readers.
    return isWhole ? next : { ...next, page: { ...page, items } }
  }

  /** The snapshots that are due before a trimmed page; undefined if the page can be written. */
  before(next: FollowedPage): Due | undefined {
    const { page, isRewind } = next
    if (!this.#selector.hasState) return undefined
    const at = page.from
    const upto = isRewind ? page.upto : at
    if (this.#isUnusable(next) && this.#names.length > 0) return { names: this.#names, at, upto, why: 'position' }
    if (this.#pending.size > 0) return { names: [...this.#pending], at, upto, why: 'request' }
    const [first] = page.items
    if (first === undefined || !isLoss(first) || this.#stateOf(first).length === 0) return undefined
    const lost = { epoch: page.upto.epoch, seq: first.seq }
    const names = new Set(page.items.flatMap((item) => (isLoss(item) ? this.#stateOf(item) : [])))
    return { names: [...names], at: lost, upto: lost, why: 'loss' }
  }

  /** Takes what is due. `admit` decides on the listed channels. Rejects with the error of a function. */
  async take(due: Due, admit: (channels: readonly string[]) => Promise<readonly string[]>): Promise<Taken> {
    const channels = new Set(due.names.filter((name) => !isPattern(name)))
    const listings: Listing[] = []
    for (const pattern of due.names.filter(isPattern)) {
      for (const name of this.#source.named(pattern)) channels.add(name)
      listings.push(...(await this.#source.list(pattern)))
    }
    const isMine = (channel: string) => this.#selector.matches(channel)
    const found = [...channels, ...listings.flatMap((listing) => listing.channels)].filter(isMine)
    const admitted = new Set(await admit(found))
    const answers = await Promise.all([...admitted].map((channel) => this.#source.take(channel, due.upto)))
    return {
      listings: listings.map((one) => ({ ...one, channels: one.channels.filter((name) => admitted.has(name)) })),
      snapshots: answers.flatMap(({ snapshot }) => snapshot ?? []),
      without: new Set(answers.flatMap(({ channel, snapshot }) => (snapshot === undefined ? channel : []))),
      isStale: [...answers, ...listings].some(({ upto }) => upto.epoch !== due.at.epoch),
    }
  }

  /** The names whose missing events the snapshots do not make up for. */
  uncovered(names: readonly string[], { without }: Taken): readonly string[] {
    return names.filter((name) => {
      if (isPattern(name)) return !this.#source.listsAll(name)
      return without.has(name) || !this.#source.has(name)
    })
  }

  /** They were written: the subscriber is at `due.at`, with the state that they contain. */
  done(due: Due, { snapshots, listings }: Taken): void {
    for (const name of due.names) this.#pending.delete(name)
    this.#settle()
    if (due.why === 'position') this.#goodFrom = due.at
    for (const { channel, upto } of snapshots) this.#contained.set(channel, upto)
    this.#listings = [
      ...this.#listings.filter((one) => !listings.some(({ pattern }) => pattern === one.pattern)),
      ...listings,
    ]
  }

  /** The subscriber has this page. */
  advance({ page: { upto } }: FollowedPage): void {
    this.#goodFrom ??= upto
    for (const [name, contained] of this.#contained) if (!isAhead(contained, upto)) this.#contained.delete(name)
    if (this.#listings.length > 0) this.#listings = this.#listings.filter((one) => isAhead(one.upto, upto))
  }

  #settle(): void {
    for (const resolve of this.#onWritten.splice(0)) resolve()
  }

  #askable(): readonly string[] {
    return this.#selector.names.filter((name) => (isPattern(name) ? this.#source.lists(name) : this.#source.has(name)))
  }

  /**
   * Whether the state may have changes that the log has lost: the position is unusable, of an earlier epoch, or from
   * before the present epoch began.
   */
  #isUnusable({ page, status, after }: FollowedPage): boolean {
    if (status !== 'ok') return true
    if (after === undefined || after.epoch !== page.upto.epoch) return true
    const goodFrom = this.#goodFrom?.epoch === after.epoch ? this.#goodFrom.seq : (page.epochStart ?? 0)
    return after.seq < goodFrom
  }

  /** The channels and patterns of a loss that snapshots make up for. */
  #stateOf({ channels }: Loss): string[] {
    return channels.filter((name) => (isPattern(name) ? this.#source.lists(name) : this.#source.has(name)))
  }

  #uncontained(item: Page['items'][number], { upto: { epoch } }: Page): Page['items'] {
    const at = { epoch, seq: item.seq }
    const isUpTo = (contained: Cursor) => hasReached(contained, at)
    const isContained = (name: string) => {
      const contained = this.#contained.get(name)
      if (contained !== undefined && isUpTo(contained)) return true
      // A name without state of its own: it is not listed, or it is the pattern that was listed.
      return this.#listings.some((one) => isUpTo(one.upto) && covers(one.pattern, name) && !one.channels.includes(name))
    }
    if (!isLoss(item)) return isContained(item.channel) ? [] : [item]
    const channels = item.channels.filter((name) => !isContained(name))
    if (channels.length === item.channels.length) return [item]
    return channels.length === 0 ? [] : [{ ...item, channels }]
  }
}

/** The gap that remains beside snapshots: of the channels that have none. */
export function gapBeside(
  next: FollowedPage,
  due: Due,
  snapshots: DueSnapshots,
  names: readonly string[],
  taken: Taken,
): Gap[] {
  if (next.status === 'ok' && due.why !== 'loss') return []
  const [first] = next.page.items
  const missing = due.why === 'loss' && first !== undefined && isLoss(first) ? first.channels : names
  const channels = snapshots.uncovered(missing, taken)
  if (channels.length === 0) return []
  const reason = next.status === 'ok' ? 'trimmed' : next.status
  return [{ reason, channels, from: reason === 'bad-cursor' ? null : next.from, to: formatCursor(due.at) }]
}

/** The beginning of a page, which ends with these items. */
function upTo(page: Page, items: Page['items']): Page {
  return { ...page, items, upto: { epoch: page.upto.epoch, seq: items.at(-1)!.seq }, end: false }
}
