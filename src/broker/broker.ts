import type { SseError } from '../errors.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { EphemeralEvent } from './ephemeral-event.ts'
import type { NewEvent, StoredEvent } from './stored-event.ts'

export type { EphemeralEvent, NewEvent, StoredEvent }

/**
 * One log. A broker appends events, keeps some of them, and hands over the committed ones. It knows channels and
 * cursors, never a subscriber: the hub keeps the newest events that were handed over and the position that they reach.
 * `brokerContract()` of `express-sse-hub/testing` is this interface as a test suite.
 */
export interface Broker {
  /**
   * Called once, before any other method. Resolves with the end of the log: later events are handed over to the
   * listener, which is not called before. Rejects with ERR_SSE_BROKER_UNAVAILABLE if the log cannot be used. Calls of
   * the listener are synchronous and never nested.
   */
  start(listener: BrokerListener): Promise<Cursor>
  /**
   * One call is one commit, in order; calls commit in call order. At most 1,000 events and 1 MiB, except for a single
   * group of that size. A group (one publish, one batch) is all or nothing. If a group is refused
   * (ERR_SSE_IDEMPOTENCY_MISMATCH), its error is in its place, and no other group is affected. Resolves when committed,
   * and, if the log is local, after `events`.
   *
   * Rejects with ERR_SSE_BROKER_UNAVAILABLE: nothing was kept; or with ERR_SSE_PUBLISH_UNKNOWN: the events may have
   * been kept, and a retry with the same idempotency keys is safe.
   */
  publish(groups: readonly Group[]): Promise<readonly Outcome[]>
  /**
   * Once it has resolved, every matching event that is appended from then on is handed over, or `suspect()` is called.
   * Counted per selector object: the same number of `unsubscribe` calls reverts it.
   */
  subscribe(selector: Selector): Promise<void>
  unsubscribe(selector: Selector): void
  /**
   * One page of the events that the log kept after `after`; `undefined` = an empty page at its end. It includes
   * everything that was committed before the call. Only this method compares a cursor with the end of the log.
   */
  read(after: Cursor | undefined, selector: Selector, limit: PageLimit): Promise<Page>
  /**
   * The last `count` kept events of each channel, the newest of all within `limit`, in the order of the log, without
   * losses. `from` is the position before the first of them, or the end if there is none; `upto` is the end.
   */
  latest(count: number, selector: Selector, limit: PageLimit): Promise<Page>
  /**
   * Optional: a broker without it has no ephemeral channels. Whether all channels that this name or pattern stands for are
   * ephemeral. The hub asks for each channel that is published to, and marks its events as `ephemeral`. The broker hands
   * them over to all of its nodes, in their place among the events of the same call, and keeps nothing: no `seq`, no
   * `prev`, no channel name. It carries them because only it reaches the other nodes, and only it knows their place.
   */
  isEphemeral?(channel: string): boolean
  /**
   * Settles every publish in progress, then releases the log. Idempotent. Afterwards all methods reject and the
   * listener is not called.
   */
  close(): Promise<void>
}

/** The methods that a broker calls. The hub implements them; they do not throw. */
export interface BrokerListener {
  /**
   * Committed events in the order of the log, all after the previous top. The batch is complete for every subscribed
   * selector up to `top`, counted from the place in the log at which the subscription took effect. Where a remote log
   * could not hand over an event, a loss stands in its place. An ephemeral event has no place in the log, and the batch
   * may have nothing else: `top` is the previous one then. The batch may be empty: only the end of the log moved,
   * which is reported at least every 5 s. `top` may name another epoch only if every position up to the previous top
   * is good in that epoch.
   */
  events(batch: readonly HandedOver[], top: Cursor): void
  /** The log continues at `top`. Events between the previous top and this one were not handed over. */
  suspect(top: Cursor): void
}

/** An item of a batch. */
export type HandedOver = StoredEvent | EphemeralEvent | Loss

/** The events of one publish or one batch: all of them are kept, or none. */
export type Group = readonly NewEvent[]

/** The outcome of a group: a receipt for each event, or the error that refused the whole group. */
export type Outcome = readonly (Receipt | EphemeralReceipt)[] | SseError

/** A part of the log, as one selector sees it. */
export interface Page {
  /**
   * The status of `after`. `diverged`: it is past the end of its epoch, or of the log. `unknown-epoch`: the log does
   * not remember that epoch. Both continue from the end.
   */
  readonly status: 'ok' | 'diverged' | 'unknown-epoch'
  /** `after`, re-based to the current epoch. */
  readonly from: Cursor
  /** In the order of `seq`; a loss stands before the first kept event of its channels. */
  readonly items: readonly (StoredEvent | Loss)[]
  /** Complete for the selector up to here. It may advance without items, so that a long search can be interrupted. */
  readonly upto: Cursor
  /** Whether `upto` was the end of the log. */
  readonly end: boolean
  /**
   * The end of the log when its present epoch began: an earlier position may lack changes that the log has lost since.
   * Default 0: the log was empty then.
   */
  readonly epochStart?: number | undefined
}

/**
 * Events that the log no longer has. Each of these channels (or patterns of the selector) lost some, up to and
 * including `seq`.
 */
export interface Loss {
  readonly channels: readonly string[]
  readonly seq: number
}

/** The channels of a subscriber. Two selectors with equal content may be one object; a broker compares objects only. */
export interface Selector {
  /** No name is repeated, here or among the patterns. A pattern may match a channel that is listed here as well. */
  readonly channels: readonly string[]
  readonly patterns: readonly string[]
  matches(channel: string): boolean
}

/** The maximum of a page. It has at least one item in any case. */
export interface PageLimit {
  readonly events: number
  readonly bytes: number
}

export interface Receipt {
  readonly id: Cursor
  /** The log already had an event with this key and payload; `id` is its ID. */
  readonly duplicate: boolean
}

/** The receipt of an ephemeral event. */
export interface EphemeralReceipt {
  readonly id: null
  readonly duplicate: false
}

export function isLoss<T extends Loss>(item: StoredEvent | EphemeralEvent | T): item is T {
  return 'channels' in item
}

export function isEphemeral(item: HandedOver): item is EphemeralEvent {
  return 'ephemeral' in item
}

/** The part of a batch that has a place in the log. */
export function logged(batch: readonly HandedOver[]): readonly (StoredEvent | Loss)[] {
  if (!batch.some(isEphemeral)) return batch as readonly (StoredEvent | Loss)[]
  return batch.filter((item): item is StoredEvent | Loss => !isEphemeral(item))
}
