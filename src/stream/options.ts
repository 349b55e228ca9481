import { type Clock, MAX_DELAY_MS } from '../clock.ts'
import { booleanOption, functionOption, integerOption, optionsObject } from '../option.ts'
import { parseReconnectionTime } from '../protocol/fields.ts'
import { serverClockOption } from '../server-clock.ts'

/** Options of `sse()` and `eventStream()`. */
export interface SseOptions {
  /** Milliseconds between two heartbeats (a comment) on a stream. Default 15 000; 0 = off; at most 2^31 - 1. */
  heartbeatIntervalMs?: number | undefined
  /**
   * The reconnection time in milliseconds that a stream asks of its client, sent once at its start as a random value
   * between this and twice this, so that clients cut together do not come back together. Default 2 000 for streams of
   * a hub; plain streams send it only when it is set. 500 – 3 600 000.
   */
  retryMs?: number | undefined
  /**
   * How many bytes may wait for a plain stream's peer. Tested before a write: with that much waiting, the next `send`
   * closes the stream with `'slow'`; a stream with less waiting takes one event of any size. Default 1 MiB. Streams of
   * a hub are bounded by its `highWaterMarkBytes`.
   */
  maxBufferedBytes?: number | undefined
  /**
   * After how many milliseconds a stream ends with `'expired'`, so that its client comes back and is authorised anew.
   * Each stream takes a random value between 80 and 100 % of it. Default 0 = off; at most 2^31 - 1.
   */
  maxLifetimeMs?: number | undefined
  /**
   * After how many milliseconds without any progress a plain stream with waiting bytes is closed with `'slow'`. Default
   * 30 000; 0 = off; at most 2^31 - 1. Streams of a hub are bounded by its own `maxLagMs`.
   */
  maxLagMs?: number | undefined
  /**
   * Lets go of the request, the response and Node's parser once a stream is open, which saves most of what an idle one
   * holds. Default false. For streams that nobody but this library has a use for: `req` and `res` do not hear of the end
   * of the connection then, so use `closed` or `signal` of the stream; `server.closeAllConnections()` does not reach it,
   * so close hub and streams; no further request is served on its connection; `server.timeout` does not apply. A stream
   * stays as it is where anybody listens to `res` or `req`, wraps `res.end` (access logs, sessions), or where Node is
   * not as expected, which is warned of once.
   */
  letGo?: boolean | undefined
  /** Is told the errors of sources given to `stream()`. What it throws is dropped. */
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

/** The reconnection time of hub streams whose options name none. */
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
