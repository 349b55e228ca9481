import type { SseError } from '../errors.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { NewEvent, StoredEvent } from './stored-event.ts'

export type { NewEvent, StoredEvent }

/**
 * One log. A broker appends events, keeps some of them, and hands over what was committed. It knows channels and
 * cursors, never a subscriber: the hub keeps the newest events that were handed over and the position they reach.
 * `brokerContract()` of `express-sse-hub/testing` is this interface as a test suite.
 */
export interface Broker {
  /**
   * Called once, before anything else. Resolves with the end of the log: what is committed after it is handed over to
   * the listener, which is not called before. Rejects with ERR_SSE_BROKER_UNAVAILABLE when the log cannot be used.
   * Calls of the listener are synchronous and never nested.
   */
  start(listener: BrokerListener): Promise<Cursor>
  /**
   * One call is one commit, in order; calls commit in call order. At most 1,000 events and 1 MiB, except for a single
   * group of that size. A group (one publish, one batch) is all or nothing; one that is refused for itself
   * (ERR_SSE_IDEMPOTENCY_MISMATCH) has its error in its place and disturbs no other. Resolves when committed, and after
   * `events` where the log is local.
   *
   * Rejects with ERR_SSE_BROKER_UNAVAILABLE: nothing was kept; with ERR_SSE_PUBLISH_UNKNOWN: it may have been, and a
   * retry with the same idempotency keys is safe.
   */
  publish(groups: readonly Group[]): Promise<readonly Outcome[]>
  /**
   * Once resolved, every matching event that is appended from then on is handed over, or `suspect()` is called.
   * Counted per selector object: as many `unsubscribe` calls take it back.
   */
  subscribe(selector: Selector): Promise<void>
  unsubscribe(selector: Selector): void
  /**
   * What the log kept after `after`, one page; `undefined` = an empty page at its end. Sees all that was committed
   * before the call. A cursor is compared with the end of the log only here.
   */
  read(after: Cursor | undefined, selector: Selector, limit: PageLimit): Promise<Page>
  /**
   * The last `count` kept events of each channel, the newest of all within `limit`, in the order of the log, no losses
   * told. `from` is the position before the first of them, or the end when there is none; `upto` is the end.
   */
  latest(count: number, selector: Selector, limit: PageLimit): Promise<Page>
  /** Settles every publish under way, then releases. Idempotent. Afterwards everything rejects and the listener is silent. */
  close(): Promise<void>
}

/** What a broker calls. The hub implements it; its methods do not throw. */
export interface BrokerListener {
  /**
   * Committed events in the order of the log, all after the previous top. The batch is complete for every subscribed
   * selector up to `top`, counted from the place in the log at which the subscription took effect. Where a remote log
   * could not hand over an event, a loss stands in its place. The batch may be empty: only the end of the log moved,
   * which is reported at least every 5 s. `top` may name another epoch only if every position up to the previous top
   * is good in that epoch.
   */
  events(batch: readonly (StoredEvent | Loss)[], top: Cursor): void
  /** The log continues at `top`. Events between the previous top and this one were not handed over. */
  suspect(top: Cursor): void
}

/** The events of one publish or one batch: all of them are kept, or none. */
export type Group = readonly NewEvent[]

/** What became of a group: a receipt for each event, or the error that refused the whole group. */
export type Outcome = readonly Receipt[] | SseError

/** A part of the log, as one selector sees it. */
export interface Page {
  /**
   * Of `after`. `diverged`: it is past the end of its epoch, or of the log. `unknown-epoch`: no such life of the log is
   * remembered. Both continue from the end.
   */
  readonly status: 'ok' | 'diverged' | 'unknown-epoch'
  /** `after`, re-based to the current epoch. */
  readonly from: Cursor
  /** In the order of `seq`; a loss stands before the first kept event of its channels. */
  readonly items: readonly (StoredEvent | Loss)[]
  /** Complete for the selector up to here. May advance with no items, so that a long search can be cut. */
  readonly upto: Cursor
  /** Whether `upto` was the end of the log. */
  readonly end: boolean
}

/** Events that the log no longer has: of these channels (or patterns, as asked for), some up to and including `seq`. */
export interface Loss {
  readonly channels: readonly string[]
  readonly seq: number
}

/** What a subscriber asks for. Two of equal content may be one object, and for a broker equal means the same object. */
export interface Selector {
  /** No name is there twice, here as among the patterns. A pattern may match a channel that is named as well. */
  readonly channels: readonly string[]
  readonly patterns: readonly string[]
  matches(channel: string): boolean
}

/** How much a page holds at most. At least one item is always in it. */
export interface PageLimit {
  readonly events: number
  readonly bytes: number
}

export interface Receipt {
  readonly id: Cursor
  /** The log had an event of this key and payload already; `id` is that one's. */
  readonly duplicate: boolean
}

export function isLoss<T extends Loss>(item: StoredEvent | T): item is T {
  return 'channels' in item
}
