import type { ChannelEntry } from '../channel-types.ts'
import type { ConnectionError } from './error.ts'
import type { SchemasOf } from './schema.ts'
import type { PositionStore } from './store.ts'

/** A value, or a function that is called for every attempt. */
export type PerAttempt<T> = T | (() => T | Promise<T>)

export interface RetryOptions {
  /** The first back-off in ms, unless the server requests more. Default 1,000. */
  minMs?: number | undefined
  /** The longest back-off in ms. A longer request of the server is respected. Default 30,000. */
  maxMs?: number | undefined
  /**
   * A stream that was open for this many ms, or delivered events, was healthy: the back-off starts again. Default
   * 5,000.
   */
  resetMs?: number | undefined
  /**
   * The number of ms after which a connection that has worked gives up on an answer that is usually final: 404 during a
   * deploy, a redirect to a login page. Default 300,000; 0 = at once.
   */
  giveUpMs?: number | undefined
  /** The longest `retry:` and `Retry-After` that are respected, in ms. Default 3,600,000. */
  maxAskedMs?: number | undefined
}

/** The parts of a request, and the limits of its stream. */
export interface SourceOptions {
  /** Channels and patterns, sent as `?channel=…`. Omit it if the URL names the channel. */
  channels?: readonly string[] | undefined
  /** Default: POST with a body, else GET. */
  method?: string | undefined
  headers?: PerAttempt<RequestInit['headers']> | undefined
  body?: PerAttempt<RequestInit['body']> | undefined
  credentials?: RequestInit['credentials'] | undefined
  /**
   * Whether a request other than GET may be repeated without a position. Default false: the server could perform it
   * twice.
   */
  retryPost?: boolean | undefined
  /** The number of kept events of each channel to start with if there is no position. */
  rewind?: number | undefined
  retry?: RetryOptions | undefined
  /** ms until the head of the answer must have arrived. Default 15,000; 0 = off. */
  connectTimeoutMs?: number | undefined
  /** ms without a byte until the stream counts as dead. Default: three heartbeats of the hub, or 45,000; 0 = off. */
  silenceMs?: number | undefined
  /**
   * Decides whether a failed attempt is repeated: `true`, `false`, or `undefined` for the default. `hasWorked`: a stream of
   * this connection was open before.
   */
  shouldRetry?: ((failure: { error: ConnectionError; hasWorked: boolean }) => boolean | undefined) | undefined
  /** Called on 401 and 403, once until the next success. Then the client tries again, unless the result is `false`. */
  onUnauthorized?: ((response: Response) => unknown) | undefined
  /** Characters of one event while it is incomplete. Default 4,194,304. */
  maxEventBytes?: number | undefined
  /** Default: the global one at the time of each attempt. */
  fetch?: typeof fetch | undefined
  /** Whether its timers let a Node process end. Default false. */
  unref?: boolean | undefined
}

// biome-ignore lint/suspicious/noExplicitAny: without a map every channel carries any data
export interface ConnectOptions<Channels = any> extends SourceOptions {
  channels?: readonly ([keyof Channels] extends [never] ? string : ChannelEntry<Channels>)[] | undefined
  /** The position to start from if the store has none. */
  lastEventId?: string | undefined
  /** Keeps the position beyond this page: `sessionStore('board')`. */
  store?: PositionStore | undefined
  /** A schema for the data of a channel or pattern. A name takes precedence, then the first pattern. */
  schemas?: SchemasOf<Channels> | undefined
  /** Events and gaps that may wait for an iterator; while the queue is full the client does not read. Default 100. */
  maxQueued?: number | undefined
  /** Closes the connection. */
  signal?: AbortSignal | undefined
}
