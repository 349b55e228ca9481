import type { SseError } from '../errors.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { EventFrame } from '../protocol/frame.ts'

/**
 * One log. It carries and keeps events, and knows channels and cursors, never a subscriber. `brokerContract()` of
 * `express-sse-hub/testing` is this interface as a test suite.
 */
export interface Broker {
  /**
   * Called once, before anything else. Resolves when the log can be read and written; rejects with
   * ERR_SSE_BROKER_UNAVAILABLE when it cannot. Calls of the listener are synchronous and never nested.
   */
  start(listener: BrokerListener): Promise<void>
  /**
   * The position that has been handed to the listener. Changes only just before a call of the listener; rises within an
   * epoch. May be behind the end of the log, never ahead of it.
   */
  top(): Cursor
  /**
   * One call is one commit, in order; calls commit in call order. At most 1,000 events and 1 MiB, except for a single
   * group of that size. A group (one publish, one batch) is all or nothing; one that is refused for itself
   * (ERR_SSE_IDEMPOTENCY_MISMATCH) has its error in its place and disturbs no other. Resolves when committed, and after
   * `events` where the log is local.
   *
   * Rejects with ERR_SSE_BROKER_UNAVAILABLE: nothing was kept; with ERR_SSE_PUBLISH_UNKNOWN: it may have been, and a
   * retry with the same idempotency keys is safe.
   */
  publish(groups: readonly (readonly NewEvent[])[]): Promise<readonly (readonly Receipt[] | SseError)[]>
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
  read(after: Cursor | undefined, selector: Selector, max: PageLimit): Promise<Page>
  /**
   * The same from memory and at once: the newest events of all channels, whatever retention says, ending at `top()` when
   * `end`. Undefined when memory does not reach back to `after`. Only from a position that a `read` or
   * `latest` of the selector, made after its `subscribe` resolved, reached as the end of the log, or from a later one:
   * memory may lack what was published before, and tells no losses.
   */
  recent(after: Cursor, selector: Selector, max: PageLimit): Page | undefined
  /**
   * The last `count` kept events of each channel, the newest of all within `max`, in the order of the log, no losses
   * told. `from` is the position before the first of them, or the end when there is none; `upto` is the end.
   */
  latest(count: number, selector: Selector, max: PageLimit): Promise<Page>
  /** Settles every publish under way, then releases. Idempotent. Afterwards everything rejects and the listener is silent. */
  close(): Promise<void>
}

export interface BrokerListener {
  /**
   * Committed events in the order of the log, all after the previous top; complete for the subscribed selectors up to
   * `top`. May be empty: the log moved elsewhere, which is told at least every 5 s.
   */
  events(batch: readonly StoredEvent[], top: Cursor): void
  /**
   * `top()` is no longer contiguous with `previous`, and the broker could not catch up by itself: read on from
   * `previous`.
   */
  suspect(previous: Cursor): void
}

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

export interface NewEvent {
  readonly channel: string
  readonly event: string | undefined
  /** The text of its data. */
  readonly data: string
  /** Whether that text is JSON. */
  readonly json: boolean
  readonly conflationKey: string | undefined
  /** Scoped to the channel; kept 10 minutes or for the last 100,000 keys, whichever is shorter. */
  readonly idempotencyKey: string | undefined
  /** The encoded block without its `id` line. */
  readonly fields: string
}

export interface StoredEvent extends NewEvent {
  /** Its place in the log: unique and rising over all channels, not without holes. */
  readonly seq: number
  /** The `seq` of the event before it *in its channel*; 0, or what was forgotten last, when none is known. */
  readonly prev: number
  /** Made once, by the broker, and shared by everybody who sends or keeps it. */
  readonly frame: EventFrame
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

export function isLoss(item: StoredEvent | Loss): item is Loss {
  return 'channels' in item
}
