import type { Clock } from '../clock.ts'
import type { PageLimit, Selector } from './broker.ts'
import { firstAfter, type Merged, mergePage, type Series } from './merge.ts'
import type { ResolvedHistoryOptions, Retention } from './retention.ts'
import type { StoredEvent } from './stored-event.ts'

/** A kept event, and its place in the row of its retention. */
interface Kept {
  readonly event: StoredEvent
  readonly log: ChannelLog
  readonly bytes: number
  /** Its share of `maxBytes`. */
  readonly size: number
  /** The time of its arrival, on the monotonic clock. */
  readonly at: number
  older: Kept | undefined
  newer: Kept | undefined
}

/**
 * The kept events of all channels with the same retention, in one row: its oldest is the next to be deleted by age and
 * by bytes.
 */
interface RetentionRow {
  readonly retention: Retention
  oldest: Kept | undefined
  newest: Kept | undefined
}

/** The state of one channel. */
interface ChannelLog {
  readonly name: string
  readonly row: RetentionRow
  /** Ascending by `seq`; the first `head` places are free. */
  kept: (Kept | undefined)[]
  head: number
  /** The `seq` of its last event, kept or not. Remembered longer than the events. */
  last: number
  lastAt: number
  /** Neighbours by `last`. */
  older: ChannelLog | undefined
  newer: ChannelLog | undefined
}

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
  readonly #rows: Map<Retention, RetentionRow>
  readonly #channels = new Map<string, ChannelLog>()
  // The channels by their last event: a pattern reads those that changed, and forgetting starts at the other end.
  #oldest: ChannelLog | undefined
  #newest: ChannelLog | undefined
  #bytes = 0
  /**
   * The last event of any forgotten channel. An unknown channel, and every pattern, may have lost events up to here.
   * This is the one conservative alarm: a gap may be reported although nothing was lost.
   */
  #floor = 0
  #sweep: unknown

  constructor(options: ResolvedHistoryOptions, clock: Clock, sizes = HELD) {
    this.#options = options
    this.#sizes = sizes
    this.#clock = clock
    this.#rows = new Map(
      options.retentions.map((retention) => [retention, { retention, oldest: undefined, newest: undefined }]),
    )
  }

  /** The share of the kept events in `maxBytes`. */
  get bytes(): number {
    return this.#bytes
  }

  /** The `prev` of the next event of `channel`. */
  lastOf(channel: string): number {
    return this.#channels.get(channel)?.last ?? this.#floor
  }

  append(event: StoredEvent): void {
    const now = this.#clock.monotonic()
    const log = this.#channels.get(event.channel) ?? this.#open(event.channel)
    log.last = event.seq
    log.lastAt = now
    this.#moveToNewest(log)
    const { maxEvents } = log.row.retention
    const { bytes } = event
    // An event that is not kept is simply missing: the `prev` of the next event names it.
    if (maxEvents > 0 && bytes <= this.#options.maxBytes / 16) {
      const size = this.#sizes.event(event)
      this.#keep(log, { event, log, bytes, size, at: now, older: undefined, newer: undefined })
      if (log.kept.length - log.head > maxEvents) this.#drop(log.kept[log.head]!)
    }
    this.#trim(now)
    this.#sweep ??= this.#clock.setTimeout(() => this.#sweepNow(), SWEEP_MS)
  }

  /** The kept events after `after`, with every loss in its place. `end` is the last `seq` of the log. */
  read(after: number, end: number, selector: Selector, max: PageLimit): Merged<StoredEvent> {
    this.#trim(this.#clock.monotonic())
    return mergePage(this.#readersAfter(after, selector), after, end, max)
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

  #readersAfter(after: number, selector: Selector): Reader[] {
    const readers: Reader[] = []
    const lost = after < this.#floor
    for (const pattern of lost ? selector.patterns : [])
      readers.push(new Reader(pattern, undefined, after, this.#floor))
    for (const channel of lost ? selector.channels : []) {
      if (!this.#channels.has(channel)) readers.push(new Reader(channel, undefined, after, this.#floor))
    }
    for (const log of this.#matching(selector, after)) readers.push(new Reader(log.name, log, after, 0))
    return readers
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
    const row = this.#rows.get(this.#options.retentionOf(name))!
    const log: ChannelLog = { name, row, kept: [], head: 0, last: 0, lastAt: 0, older: undefined, newer: undefined }
    this.#channels.set(name, log)
    return log
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
    if (log.head === log.kept.length) this.#bytes += this.#sizes.channel
    log.kept.push(kept)
    const { row } = log
    kept.older = row.newest
    if (row.newest !== undefined) row.newest.newer = kept
    row.newest = kept
    row.oldest ??= kept
    this.#bytes += kept.size
  }

  /** Drops an event, which is always the oldest of its channel. */
  #drop(kept: Kept): void {
    const { log } = kept
    const { row } = log
    if (kept.older !== undefined) kept.older.newer = kept.newer
    else row.oldest = kept.newer
    if (kept.newer !== undefined) kept.newer.older = kept.older
    else row.newest = kept.older
    this.#bytes -= kept.size
    log.kept[log.head++] = undefined
    if (log.head === log.kept.length) this.#bytes -= this.#sizes.channel
    // Moving the rest only when half of the array is free keeps the average cost per event constant.
    if (log.head * 2 >= log.kept.length) {
      log.kept = log.kept.slice(log.head)
      log.head = 0
    }
  }

  #trim(now: number): void {
    for (const row of this.#rows.values()) {
      const tooOld = now - row.retention.maxAgeMs
      while (row.oldest !== undefined && row.oldest.at < tooOld) this.#drop(row.oldest)
    }
    while (this.#bytes > this.#options.maxBytes) this.#drop(this.#oldestKept()!)
    const forgotten = now - this.#options.rememberMs
    while (
      this.#oldest !== undefined &&
      (this.#channels.size > this.#options.maxChannels ||
        (this.#oldest.lastAt < forgotten && this.#oldest.head === this.#oldest.kept.length))
    ) {
      this.#forget(this.#oldest)
    }
  }

  #oldestKept(): Kept | undefined {
    let oldest: Kept | undefined
    for (const row of this.#rows.values()) {
      if (row.oldest !== undefined && (oldest === undefined || row.oldest.event.seq < oldest.event.seq))
        oldest = row.oldest
    }
    return oldest
  }

  #forget(log: ChannelLog): void {
    while (log.head < log.kept.length) this.#drop(log.kept[log.head]!)
    this.#unlink(log)
    this.#channels.delete(log.name)
    this.#floor = Math.max(this.#floor, log.last)
  }

  /** Trims quiet channels too, without a read of them. Runs only while the history has channels. */
  #sweepNow(): void {
    this.#trim(this.#clock.monotonic())
    this.#sweep = this.#oldest === undefined ? undefined : this.#clock.setTimeout(() => this.#sweepNow(), SWEEP_MS)
  }
}

function newestFirst(kept: Kept[]): Kept[] {
  return kept.sort((a, b) => b.event.seq - a.event.seq)
}

/** Reads one channel from a position on: its events, and a loss wherever the previous event is missing. */
class Reader implements Series<StoredEvent> {
  readonly name: string
  readonly #log: ChannelLog | undefined
  /** The loss to report if there is no log: the channel was forgotten, or `name` is a pattern. */
  readonly #lost: number
  /** Everything up to here has been read or reported as lost. */
  #at: number
  #index: number
  seq = 0
  event: StoredEvent | undefined
  bytes = 0

  constructor(name: string, log: ChannelLog | undefined, after: number, lost: number) {
    this.name = name
    this.#log = log
    this.#lost = lost
    this.#at = after
    this.#index = log === undefined ? 0 : firstAfter(log.kept, log.head, after, (kept) => kept!.event.seq)
    this.#look()
  }

  advance(): boolean {
    this.#at = this.seq
    if (this.event !== undefined) this.#index++
    return this.#look()
  }

  #look(): boolean {
    const next = this.#log?.kept[this.#index]
    const before = next?.event.prev ?? this.#log?.last ?? this.#lost
    this.event = before > this.#at ? undefined : next?.event
    this.bytes = next?.bytes ?? 0
    this.seq = this.event?.seq ?? before
    return this.seq > this.#at
  }
}
