import type { CloseReason } from '../errors.ts'
import type { SendOptions } from './send.ts'
import type { EventSourceInput, SourceOptions, StreamResult } from './source.ts'

/** Options of `stream`. */
export interface StreamOptions<T> extends SourceOptions<T, EventStream> {}

/**
 * One response as an event stream. Nothing is sent until it is used; then it is `open` until the application, the hub
 * or the client ends it. After the end no method throws: methods return false, or resolve.
 */
export interface EventStream {
  /** `'idle'` until the head is committed, then `'open'`; `'closed'` after any end of the response. */
  readonly state: 'idle' | 'open' | 'closed'
  /** False when `Accept` excludes `text/event-stream`, for handlers that can answer something else as well. */
  readonly accepted: boolean
  /**
   * The ID of the last event that the client received: the header `Last-Event-ID`, else the query parameter
   * `lastEventId`; `''` if absent or empty.
   * [spec] https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
   */
  readonly lastEventId: string
  /**
   * Fires at the end of the response, whether it was a stream or not. Its reason is an `AbortError` whose `cause` is
   * the `CloseReason`.
   */
  readonly signal: AbortSignal
  /** Resolves with the reason at the end of the response, whether it was a stream or not. Never rejects. */
  readonly closed: Promise<CloseReason>
  /** Bytes that wait in memory for the peer. */
  readonly bufferedBytes: number

  /**
   * Commits the head, once, and returns the stream. It is the only call that checks `Accept`: throws
   * ERR_SSE_NOT_ACCEPTABLE (406) if it excludes event streams. Throws ERR_SSE_HEADERS_SENT if another response is in
   * progress. A HEAD request is answered with the head, and a client that has received `hub.finished` with 204: the
   * stream is then closed.
   */
  open(): this

  /**
   * Sends one event, opening the stream if necessary. A string is sent as it is, any other value as JSON, and bytes
   * only with `encoding: 'base64'`. Returns false if the peer lags (wait for `drained()`) or is gone.
   *
   * Throws before anything is written: a TypeError for data that has no text (`undefined`, BigInt, cycles, Map, Set),
   * ERR_SSE_EVENT_TYPE, ERR_SSE_EVENT_ID, ERR_SSE_ID_RESERVED for an `id` on a stream of a hub, ERR_SSE_HEADERS_SENT.
   */
  send(data: unknown, options?: SendOptions): boolean

  /** Sends a comment, which clients skip. Returns the same as `send`. */
  comment(text?: string): boolean

  /** Asks the client to wait this many whole milliseconds before it reconnects (clamped to 500 – 3,600,000). */
  retry(ms: number): boolean

  /**
   * Sends all items of a source, one event for each: a sync or async iterable, a Web or Node readable, or a promise of
   * one. Waits while the peer lags, decodes bytes as UTF-8 across chunks, and finalises the source when the client
   * leaves, even while the source is idle.
   *
   * Never rejects after the head is sent: the result describes the end. It never sends the message of an error.
   */
  stream<T>(source: EventSourceInput<T>, options?: StreamOptions<T>): Promise<StreamResult>

  /** Resolves when the peer has caught up, or the stream has closed. */
  drained(): Promise<void>

  /** Ends the stream, opening it first if necessary. It does not change a response of other code. Idempotent. */
  close(reason?: CloseReason): void

  /**
   * Ends the stream permanently. Before the head the answer is 204, which makes browsers stop. After it the last event
   * is `hub.finished`, on which a page closes its EventSource. A client that reconnects anyway gets 204.
   */
  finish(): void
}
