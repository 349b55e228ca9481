import type { Clock } from '../clock.ts'
import type { PageLimit, Selector } from './broker.ts'
import { ChannelReader, nextSeq } from './channel-reader.ts'
import { RisingHeap } from './heap.ts'
import { Lost, type Merged, mergePage, type Series } from './merge.ts'
import type { ResolvedHistoryOptions, Retention } from './retention.ts'
import { type ChannelLog, type Kept, RetentionGroup } from './retention-group.ts'
import type { StoredEvent } from './stored-event.ts'

const SWEEP_MS = 60_000

/** The memory that V8 needs for a channel with kept events, measured on Node 20 and 24. */
const CHANNEL_BYTES = 300

/** The sizes that `maxBytes` counts. */
export interface HistorySizes {
  /** An event that is kept. */
  event(event: StoredEvent): number
  /** A channel, while it has kept events. */
  readonly channel: number
}

/** The actual use of memory. */
const HELD: HistorySizes = { event: (event) => event.heldBytes, channel: CHANNEL_BYTES }

/**
 * The kept events of a log, per channel by count, age and bytes. Also the data to detect losses: the position of each
 * channel's last event, and the position up to which channels were forgotten.
 */
export class History {
  readonly #options: ResolvedHistoryOptions
  readonly #clock: Clock
  readonly #sizes: HistorySizes
  readonly #groups: ReadonlyMap<Retention, RetentionGroup>
  // The groups by their oldest kept event. However many there are, only those are looked at that have an event to delete.
  readonly #byExpiry = new RisingHeap<RetentionGroup>(
    ({ oldest, retention }) => oldest && oldest.at + retention.maxAgeMs,
  )
  readonly #bySeq = new RisingHeap<RetentionGroup>(({ oldest }) => oldest?.event.seq)
  readonly #channels = new Map<string, ChannelLog>()
  // The channels by their last event: a pattern reads those that changed, and forgetting starts at the other end.
  #oldest: ChannelLog | undefined
  #newest: ChannelLog | undefined
  #bytes = 0
  #sweep: unknown

  constructor(options: ResolvedHistoryOptions, clock: Clock, sizes = HELD) {
    this.#options = options
    this.#sizes = sizes
    this.#clock = clock
    this.#groups = new Map(options.retentions.map((retention) => [retention, new RetentionGroup(retention)]))
  }

  /** The share of the kept events in `maxBytes`. */
  get bytes(): number {
    return this.#bytes
  }

  /** The `prev` of the next event of `channel`. */
  lastOf(channel: string): number {
    return this.#channels.get(channel)?.last ?? this.#groupOf(channel).floor
  }

  append(event: StoredEvent): void {
    const now = this.#clock.monotonic()
    const log = this.#channels.get(event.channel) ?? this.#open(event.channel)
    log.last = event.seq
    log.lastAt = now
    this.#moveToNewest(log)
    const { maxEvents, maxEventBytes } = log.group.retention
    const { bytes } = event
    // An event that is not kept is simply missing: the `prev` of the next event names it.
    if (maxEvents > 0 && bytes <= maxEventBytes) {
      const size = this.#sizes.event(event)
      this.#keep(log, { event, log, bytes, size, at: now, older: undefined, newer: undefined })
      if (log.kept.length - log.head > maxEvents) this.#drop(log.kept[log.head]!)
    }
    this.#trimGroup(log.group)
    this.#trim(now)
    this.#sweep ??= this.#clock.setTimeout(() => this.#sweepNow(), SWEEP_MS)
  }

  /** The kept events after `after`, with every loss in its place. `end` is the last `seq` of the log. */
  read(after: number, end: number, selector: Selector, max: PageLimit): Merged<StoredEvent> {
    this.#trim(this.#clock.monotonic())
    const logs = [...this.#matching(selector, after)]
    const { chosen, bound } = firstOf(logs, after, Math.max(1, max.events) + 1)
    const series: Series<StoredEvent>[] = this.#lossesAfter(after, selector)
    for (const log of chosen) series.push(new ChannelReader(log, after))
    return mergePage(series, after, end, max, bound)
  }

  /**
   * The last `count` kept events of each channel, the newest of all within `limit`, in the order of the log. The search
   * visits the channels by their last event, newest first, until no remaining channel can add an event.
   */
  latest(count: number, selector: Selector, limit: PageLimit): StoredEvent[] {
    this.#trim(this.#clock.monotonic())
    const most = Math.max(1, limit.events)
    let newest: Kept[] = []
    let floor = -1
    for (const log of this.#byLast(selector)) {
      if (log.last <= floor) break
      const first = Math.max(log.head, log.kept.length - Math.min(count, most))
      for (let i = log.kept.length - 1; i >= first && log.kept[i]!.event.seq > floor; i--) newest.push(log.kept[i]!)
      if (newest.length < 2 * most) continue
      newest = newestFirst(newest).slice(0, most)
      floor = newest.at(-1)!.event.seq
    }
    const events: StoredEvent[] = []
    let bytes = 0
    for (const kept of newestFirst(newest).slice(0, most)) {
      bytes += kept.bytes
      if (events.length > 0 && bytes > limit.bytes) break
      events.push(kept.event)
    }
    return events.reverse()
  }

  close(): void {
    this.#clock.clearTimeout(this.#sweep)
  }

  /** The losses of channels that are not remembered. */
  #lossesAfter(after: number, selector: Selector): Lost[] {
    const groups = [...this.#groups.values()].filter(({ floor }) => floor > after)
    if (groups.length === 0) return []
    const losses: Lost[] = []
    for (const pattern of selector.patterns) {
      const floors = groups.map(({ floor, retention }) => (this.#options.mayHave(pattern, retention.entry) ? floor : 0))
      losses.push(new Lost(pattern, Math.max(...floors)))
    }
    for (const channel of selector.channels) {
      if (!this.#channels.has(channel)) losses.push(new Lost(channel, this.#groupOf(channel).floor))
    }
    return losses.filter(({ seq }) => seq > after)
  }

  /** The channels of the selector with an event after `after`. */
  *#matching(selector: Selector, after: number): Generator<ChannelLog> {
    if (selector.patterns.length === 0) {
      for (const channel of selector.channels) {
        const log = this.#channels.get(channel)
        if (log !== undefined && log.last > after) yield log
      }
      return
    }
    for (let log = this.#newest; log !== undefined && log.last > after; log = log.older) {
      if (selector.matches(log.name)) yield log
    }
  }

  /** The channels of the selector, the one with the newest event first. */
  #byLast(selector: Selector): Iterable<ChannelLog> {
    const matching = this.#matching(selector, -1)
    return selector.patterns.length > 0 ? matching : [...matching].sort((a, b) => b.last - a.last)
  }

  #open(name: string): ChannelLog {
    const group = this.#groupOf(name)
    const none = { last: 0, lastAt: 0, isForgotten: false, older: undefined, newer: undefined }
    const log: ChannelLog = { name, group, kept: [], head: 0, ...none }
    this.#channels.set(name, log)
    group.open(log)
    return log
  }

  #groupOf(channel: string): RetentionGroup {
    return this.#groups.get(this.#options.retentionOf(channel))!
  }

  #moveToNewest(log: ChannelLog): void {
    if (this.#newest === log) return
    this.#unlink(log)
    log.older = this.#newest
    if (this.#newest !== undefined) this.#newest.newer = log
    this.#newest = log
    this.#oldest ??= log
  }

  #unlink(log: ChannelLog): void {
    if (log.older !== undefined) log.older.newer = log.newer
    else if (this.#oldest === log) this.#oldest = log.newer
    if (log.newer !== undefined) log.newer.older = log.older
    else if (this.#newest === log) this.#newest = log.older
    log.older = log.newer = undefined
  }

  #keep(log: ChannelLog, kept: Kept): void {
    const { group } = log
    if (log.head === log.kept.length) this.#count(group, this.#sizes.channel)
    log.kept.push(kept)
    this.#count(group, kept.size)
    group.add(kept)
    if (group.oldest !== kept) return
    this.#bySeq.add(group)
    if (group.retention.maxAgeMs !== Number.POSITIVE_INFINITY) this.#byExpiry.add(group)
  }

  #count(group: RetentionGroup, size: number): void {
    group.bytes += size
    this.#bytes += size
  }

  /** Drops an event, which is always the oldest of its channel. */
  #drop(kept: Kept): void {
    const { log } = kept
    const { group } = log
    group.remove(kept)
    this.#count(group, -kept.size)
    log.kept[log.head++] = undefined
    if (log.head === log.kept.length) this.#count(group, -this.#sizes.channel)
    // Moving the rest only when half of the array is free keeps the average cost per event constant.
    if (log.head * 2 >= log.kept.length) {
      log.kept = log.kept.slice(log.head)
      log.head = 0
    }
  }

  /** Applies the limits of one group, after an event of it. */
  #trimGroup(group: RetentionGroup): void {
    while (group.bytes > group.retention.maxBytes) this.#drop(group.oldest!)
    for (let log = group.excess; log !== undefined; log = group.excess) this.#forget(log)
  }

  /** Applies the limits of the log, and those of age. */
  #trim(now: number): void {
    for (let group = this.#byExpiry.first(); group !== undefined; group = this.#byExpiry.first()) {
      if (group.oldest!.at + group.retention.maxAgeMs >= now) break
      this.#drop(group.oldest!)
    }
    while (this.#bytes > this.#options.maxBytes) this.#drop(this.#bySeq.first()!.oldest!)
    const forgotten = now - this.#options.rememberMs
    while (
      this.#oldest !== undefined &&
      (this.#channels.size > this.#options.maxChannels ||
        (this.#oldest.lastAt < forgotten && this.#oldest.head === this.#oldest.kept.length))
    ) {
      this.#forget(this.#oldest)
    }
  }

  #forget(log: ChannelLog): void {
    while (log.head < log.kept.length) this.#drop(log.kept[log.head]!)
    this.#unlink(log)
    this.#channels.delete(log.name)
    log.group.forget(log)
  }

  /** Trims quiet channels too, without a read of them. Runs only while the history has channels. */
  #sweepNow(): void {
    this.#trim(this.#clock.monotonic())
    this.#sweep = this.#oldest === undefined ? undefined : this.#clock.setTimeout(() => this.#sweepNow(), SWEEP_MS)
  }
}

/**
 * Chooses the channels that a page of fewer than `count` items can reach: those with the first items after a position.
 * All others have items from `bound` on only. So a page of a pattern over many channels makes few readers.
 */
function firstOf(
  logs: readonly ChannelLog[],
  after: number,
  count: number,
): { chosen: readonly ChannelLog[]; bound: number } {
  if (logs.length <= count) return { chosen: logs, bound: Number.POSITIVE_INFINITY }
  const seqs = new Float64Array(logs.length)
  for (let i = 0; i < logs.length; i++) seqs[i] = nextSeq(logs[i]!, after)
  const sorted = seqs.slice().sort()
  // Those with the same position stay together: they may share one loss.
  const last = sorted[count - 1]!
  const bound = sorted.find((seq) => seq > last) ?? Number.POSITIVE_INFINITY
  return { chosen: logs.filter((_, i) => seqs[i]! <= last), bound }
}

function newestFirst(kept: Kept[]): Kept[] {
  return kept.sort((a, b) => b.event.seq - a.event.seq)
}
