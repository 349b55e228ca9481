import { type Clock, MAX_DELAY_MS } from '../clock.ts'
import { booleanOption, functionOption, integerOption, optionsObject } from '../option.ts'
import { parseReconnectionTime } from '../protocol/fields.ts'
import { serverClockOption } from '../server-clock.ts'

/** Options of `sse()` and `eventStream()`. */
export interface SseOptions {
  /** Milliseconds between two heartbeats (a comment) on a stream. Default 15,000; 0 = off; at most 2^31 - 1. */
  heartbeatIntervalMs?: number | undefined
  /**
   * The reconnection time in milliseconds for the client of a stream, sent once at its start as a random value between
   * this and twice this, so that clients that were cut together do not reconnect together. Default 2,000 for streams of
   * a hub; plain streams send it only if it is set. 500 – 3,600,000.
   */
  retryMs?: number | undefined
  /**
   * The number of bytes that may wait for the peer of a plain stream. Checked before a write: if that many bytes wait,
   * the next `send` closes the stream with `'slow'`; below it, one event of any size is accepted. Default 1 MiB.
   * Streams of a hub are bounded by its `highWaterMarkBytes`.
   */
  maxBufferedBytes?: number | undefined
  /**
   * Milliseconds until a stream ends with `'expired'`, so that its client reconnects and is authorised again. Each
   * stream takes a random value between 80 and 100 % of it. Default 0 = off; at most 2^31 - 1.
   */
  maxLifetimeMs?: number | undefined
  /**
   * Milliseconds without any progress until a plain stream with waiting bytes is closed with `'slow'`. Default 30,000;
   * 0 = off; at most 2^31 - 1. Streams of a hub are bounded by its own `maxLagMs`.
   */
  maxLagMs?: number | undefined
  /**
   * Releases the request, the response and Node's parser when a stream is open, which saves most of the memory of an
   * idle stream. Default false. Only for streams whose `req` and `res` nothing else uses: they no longer emit
   * `'close'`, so use `closed` or `signal` of the stream. `server.closeAllConnections()` does not reach it, so close
   * the hub and the streams. No further request is served on its connection, and `server.timeout` does not apply. A
   * stream stays as it is if other code listens to `res` or `req` or wraps `res.end` (access logs, sessions), or if
   * this version of Node is not as expected, which emits one warning.
   */
  letGo?: boolean | undefined
  /** Called with the errors of sources given to `stream()`. An error that it throws is dropped. */
  onError?: ((error: unknown) => void) | undefined
  /** Time. Default: the system's. */
  clock?: Clock | undefined
}

/** Options with every default filled in. */
export interface ResolvedSseOptions {
  readonly heartbeatIntervalMs: number
  readonly retryMs: number | undefined
  readonly maxBufferedBytes: number
  readonly maxLifetimeMs: number
  readonly maxLagMs: number
  readonly letGo: boolean
  readonly onError: ((error: unknown) => void) | undefined
  readonly clock: Clock
}

const NAMES = [
  'heartbeatIntervalMs',
  'retryMs',
  'maxBufferedBytes',
  'maxLifetimeMs',
  'maxLagMs',
  'letGo',
  'onError',
  'clock',
] as const

/** The reconnection time of hub streams without the option `retryMs`. */
export const DEFAULT_RETRY_MS = 2_000

export function resolveSseOptions(given: SseOptions | undefined): ResolvedSseOptions {
  const options = optionsObject('sse()', given, NAMES)
  return {
    heartbeatIntervalMs: integerOption('heartbeatIntervalMs', options.heartbeatIntervalMs, 15_000, 0, MAX_DELAY_MS),
    retryMs:
      options.retryMs === undefined
        ? undefined
        : parseReconnectionTime(integerOption('retryMs', options.retryMs, DEFAULT_RETRY_MS, 500, 3_600_000)),
    maxBufferedBytes: integerOption(
      'maxBufferedBytes',
      options.maxBufferedBytes,
      1_048_576,
      1,
      Number.MAX_SAFE_INTEGER,
    ),
    maxLifetimeMs: integerOption('maxLifetimeMs', options.maxLifetimeMs, 0, 0, MAX_DELAY_MS),
    maxLagMs: integerOption('maxLagMs', options.maxLagMs, 30_000, 0, MAX_DELAY_MS),
    letGo: booleanOption('letGo', options.letGo, false),
    onError: functionOption('onError', options.onError),
    clock: serverClockOption(options.clock),
  }
}
