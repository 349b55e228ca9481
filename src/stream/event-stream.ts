import type { CloseReason } from '../errors.ts'
import type { SendOptions } from './send.ts'
import type { EventSourceInput, SourceOptions, StreamResult } from './source.ts'

/** Options of `stream`. */
export interface StreamOptions<T> extends SourceOptions<T, EventStream> {}

/**
 * One response as an event stream. Nothing is sent until it is used; then it is `open` until the application, the hub
 * or the client ends it. Once it has ended no method throws: they return false, or resolve.
 */
export interface EventStream {
  /** `'idle'` until the head is committed, then `'open'`; `'closed'` after any end of the response. */
  readonly state: 'idle' | 'open' | 'closed'
  /** False when `Accept` excludes `text/event-stream`, for handlers that can answer something else as well. */
  readonly accepted: boolean
  /**
   * The ID of the last event that the client received: header `Last-Event-ID`, else query `lastEventId`; `''` when
   * absent or empty.
   * [spec] https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
   */
  readonly lastEventId: string
  /**
   * Fires at the end of the response, opened as a stream or not, also after a normal answer. Its reason is an
   * `AbortError` whose `cause` is the `CloseReason`.
   */
  readonly signal: AbortSignal
  /** Resolves with the reason at the end of the response, opened as a stream or not. Never rejects. */
  readonly closed: Promise<CloseReason>
  /** Bytes that wait in memory for the peer. */
  readonly bufferedBytes: number

  /**
   * Commits the head, once, and returns the stream. The only call that looks at `Accept`: throws
   * ERR_SSE_NOT_ACCEPTABLE (406) when it excludes event streams. Throws ERR_SSE_HEADERS_SENT when another response is
   * in progress. A HEAD request is answered with the head, and a client that has received `hub.finished` with 204: the
   * stream is closed then.
   */
  open(): this

  /**
   * Sends one event, opening the stream. A string goes as it is, anything else as JSON, bytes only with
   * `encoding: 'base64'`. Returns false when the peer is behind (wait for `drained()`) or gone.
   *
   * Throws before anything is written: a TypeError for data that has no text (`undefined`, BigInt, cycles, Map, Set),
   * ERR_SSE_EVENT_TYPE, ERR_SSE_EVENT_ID, ERR_SSE_ID_RESERVED for an `id` on a stream of a hub, ERR_SSE_HEADERS_SENT.
   */
  send(data: unknown, options?: SendOptions): boolean

  /** Sends a comment, which clients skip. Returns as `send` does. */
  comment(text?: string): boolean

  /** Asks the client to wait this many whole milliseconds before it reconnects (clamped to 500 – 3 600 000). */
  retry(ms: number): boolean

  /**
   * Sends everything a source yields, one event an item: a sync or async iterable, a Web or Node readable, or a promise
   * of one. Waits for a peer that is behind, decodes bytes as UTF-8 across their borders, and finalises the source when
   * the client leaves, even while the source is idle.
   *
   * Never rejects once the head is out: the result says how it ended. It never sends the message of an error.
   */
  stream<T>(source: EventSourceInput<T>, options?: StreamOptions<T>): Promise<StreamResult>

  /** Resolves when the peer has caught up, or the stream has closed. */
  drained(): Promise<void>

  /** Ends the stream, opening it first if need be; a response of other code is left alone. Idempotent. */
  close(reason?: CloseReason): void

  /**
   * Ends the stream permanently. Before the head the answer is 204, on which a browser stops; after it the last event is
   * `hub.finished`, on which a page closes its EventSource; a client that comes back nevertheless is answered 204.
   */
  finish(): void
}
