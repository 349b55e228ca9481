import { RisingHeap } from './heap.ts'
import type { Retention } from './retention.ts'
import type { StoredEvent } from './stored-event.ts'

/** A kept event, and its place in the group of its retention. */
export interface Kept {
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

/** The state of one channel. */
export interface ChannelLog {
  readonly name: string
  readonly group: RetentionGroup
  /** Ascending by `seq`; the first `head` places are free. */
  kept: (Kept | undefined)[]
  head: number
  /** The `seq` of its last event, kept or not. Remembered longer than the events. */
  last: number
  lastAt: number
  isForgotten: boolean
  /** Neighbours by `last`. */
  older: ChannelLog | undefined
  newer: ChannelLog | undefined
}

/** The channels with the same retention, and their kept events from the oldest to the newest. */
export class RetentionGroup {
  readonly retention: Retention
  oldest: Kept | undefined
  #newest: Kept | undefined
  /** The share of its kept events in `maxBytes`. */
  bytes = 0
  /** Its channels that are remembered. */
  channels = 0
  /** Its channels by their last event, if their number is limited. */
  readonly #byLast: RisingHeap<ChannelLog> | undefined
  /**
   * The last event of any forgotten channel of this group. A channel of the group that is not remembered, and every
   * pattern that may stand for one, may have lost events up to here. This is the one conservative alarm: a gap may be
   * reported although nothing was lost.
   */
  floor = 0

  constructor(retention: Retention) {
    this.retention = retention
    if (retention.maxChannels !== Number.POSITIVE_INFINITY) {
      this.#byLast = new RisingHeap((log) => (log.isForgotten ? undefined : log.last))
    }
  }

  /** The channel to forget because there are too many; undefined when there are not. */
  get excess(): ChannelLog | undefined {
    return this.channels > this.retention.maxChannels ? this.#byLast!.first() : undefined
  }

  /** A channel has its first event. */
  open(log: ChannelLog): void {
    this.channels++
    this.#byLast?.add(log)
  }

  forget(log: ChannelLog): void {
    this.channels--
    this.floor = Math.max(this.floor, log.last)
    log.isForgotten = true
    // Removes it from the heap, where it comes first.
    this.#byLast?.first()
  }

  add(kept: Kept): void {
    kept.older = this.#newest
    if (this.#newest !== undefined) this.#newest.newer = kept
    this.#newest = kept
    this.oldest ??= kept
  }

  remove(kept: Kept): void {
    if (kept.older !== undefined) kept.older.newer = kept.newer
    else this.oldest = kept.newer
    if (kept.newer !== undefined) kept.newer.older = kept.older
    else this.#newest = kept.older
  }
}
