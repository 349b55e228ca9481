import type { ChannelEntry } from '../channel-types.ts'
import type { ConnectionError } from './error.ts'
import type { SchemasOf } from './schema.ts'
import type { PositionStore } from './store.ts'

/** A value, or a function that is called for every attempt. */
export type PerAttempt<T> = T | (() => T | Promise<T>)

export interface RetryOptions {
  /** What the back-off begins with, in ms, unless the server asks for more. Default 1 000. */
  minMs?: number | undefined
  /** The longest back-off in ms. A server that asks for more is heeded. Default 30 000. */
  maxMs?: number | undefined
  /** A stream that was open for so many ms, or brought events, was healthy: the back-off begins anew. Default 5 000. */
  resetMs?: number | undefined
  /**
   * For how many ms after it has worked a connection is tried again although the answer makes no sense to repeat: 404
   * during a deploy, a redirect to a login page. Default 300 000; 0 = not at all.
   */
  giveUpMs?: number | undefined
  /** The longest `retry:` and `Retry-After` that are heeded, in ms. Default 3 600 000. */
  maxAskedMs?: number | undefined
}

/** What a request is made of, and how its stream is kept alive. */
export interface SourceOptions {
  /** Channels and patterns, sent as `?channel=…`. Leave it out where the URL names the channel. */
  channels?: readonly string[] | undefined
  /** Default: POST with a body, else GET. */
  method?: string | undefined
  headers?: PerAttempt<RequestInit['headers']> | undefined
  body?: PerAttempt<RequestInit['body']> | undefined
  credentials?: RequestInit['credentials'] | undefined
  /**
   * Whether a request that is no GET may be repeated without a position. Default false: it could do twice what it does.
   */
  retryPost?: boolean | undefined
  /** Begin with so many kept events of each channel when there is no position. */
  rewind?: number | undefined
  retry?: RetryOptions | undefined
  /** ms until the head of the answer must be there. Default 15 000; 0 = off. */
  connectTimeoutMs?: number | undefined
  /** ms without a byte until the stream counts as dead. Default: three heartbeats of the hub, else 45 000; 0 = off. */
  silenceMs?: number | undefined
  /**
   * Decides whether a failed attempt is repeated: `true`, `false`, or `undefined` for the default. `hasWorked`: a stream of
   * this connection was open before.
   */
  shouldRetry?: ((failure: { error: ConnectionError; hasWorked: boolean }) => boolean | undefined) | undefined
  /** Called on 401 and 403, once until the next success; then it is tried again, unless the result is `false`. */
  onUnauthorized?: ((response: Response) => unknown) | undefined
  /** Characters that one event may take while it is incomplete. Default 4 194 304. */
  maxEventBytes?: number | undefined
  /** Default: the global one at the time of each attempt. */
  fetch?: typeof fetch | undefined
  /** Whether its timers let a Node process end. Default false. */
  unref?: boolean | undefined
}

// biome-ignore lint/suspicious/noExplicitAny: without a map every channel carries any data
export interface ConnectOptions<Channels = any> extends SourceOptions {
  channels?: readonly ([keyof Channels] extends [never] ? string : ChannelEntry<Channels>)[] | undefined
  /** Where to begin when the store has nothing. */
  lastEventId?: string | undefined
  /** Keeps the position beyond this page: `sessionStore('board')`. */
  store?: PositionStore | undefined
  /** A schema for the data of a channel or pattern. A name wins, then the first pattern. */
  schemas?: SchemasOf<Channels> | undefined
  /** Events and gaps that may wait for an iterator; while it is full nothing is read. Default 100. */
  maxQueued?: number | undefined
  /** Closes the connection. */
  signal?: AbortSignal | undefined
}
