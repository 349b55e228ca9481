import type { Clock } from '../../clock.ts'
import { booleanOption, choiceOption, functionOption, optionsObject, wrongOption } from '../../option.ts'
import { serverClockOption } from '../../server-clock.ts'
import { type HistoryOptions, type ResolvedHistoryOptions, resolveHistoryOptions } from '../retention.ts'
import { type Connect, clientOption, type RedisClient } from './client.ts'

/** Options of `redisBroker()`. */
export interface RedisBrokerOptions {
  /**
   * A client of `redis` 6.3 or newer (`createClient()`) or of `ioredis` 6 or newer (`new Redis()`), connected or not.
   * It is a template: the broker opens its own connections with the same address, user and TLS, and does not use this
   * one.
   */
  client: RedisClient
  /**
   * Separates hubs on one server, across its databases as well. It is the hash tag of every key and channel. Default
   * `'sse'`: keys begin with `{sse}:`. 1-100 characters without braces and white space.
   */
  prefix?: string | undefined
  /** Limits of the events that are kept for clients that reconnect. The same as for the memory broker. */
  history?: HistoryOptions | undefined
  /** Whether entries of the stream `{sse}:in` become events, so that any language can publish by XADD. Default false. */
  ingest?: boolean | undefined
  /**
   * The way in which a node notices that the server may have lost its last events. `'replid'` (default): by its
   * `master_replid`, which requires the right to call INFO. `'none'`: not at all. Then a client that resumes after such
   * a loss may miss as many events as were lost, without a gap.
   */
  fence?: 'replid' | 'none' | undefined
  /** Called with failures in the background: a connection that ended, a server without persistence. */
  onError?: ((error: Error) => void) | undefined
  /** Time. Default: the system's. Connections and time limits use real time in any case. */
  clock?: Clock | undefined
}

/** Options of a broker with every default filled in. */
export interface RedisBrokerSettings {
  readonly connect: Connect
  /** The prefix of every key and channel. */
  readonly prefix: string
  readonly history: ResolvedHistoryOptions
  readonly ingest: boolean
  readonly fence: 'replid' | 'none'
  readonly onError: (error: Error) => void
  readonly clock: Clock
}

const NAMES = ['client', 'prefix', 'history', 'ingest', 'fence', 'onError', 'clock'] as const

export function resolveRedisOptions(given: RedisBrokerOptions): RedisBrokerSettings {
  const options = optionsObject('redisBroker()', given, NAMES)
  return {
    connect: clientOption(options.client),
    prefix: `{${prefixOption(options.prefix)}}:`,
    history: historyOption(options.history),
    ingest: booleanOption('ingest', options.ingest, false),
    fence: choiceOption('fence', options.fence, 'replid', ['replid', 'none']),
    onError: functionOption('onError', options.onError, 1) ?? (() => {}),
    clock: serverClockOption(options.clock),
  }
}

/** Refuses the limits that this broker does not apply, so that no application relies on them. */
function historyOption(given: HistoryOptions | undefined): ResolvedHistoryOptions {
  const history = resolveHistoryOptions(given)
  if (history.retentions.some(({ ephemeral }) => ephemeral)) {
    throw new TypeError(
      'Option `history.channels` must have no `ephemeral` entry: redisBroker() has no ephemeral channels yet.',
    )
  }
  for (const { entry, maxBytes, maxChannels } of history.retentions) {
    const name = Number.isFinite(maxBytes) ? 'maxBytes' : Number.isFinite(maxChannels) ? 'maxChannels' : undefined
    if (name === undefined) continue
    const option = `history.channels[${JSON.stringify(entry)}].${name}`
    throw new TypeError(`Option \`${option}\` is not supported by redisBroker(): it has limits of the whole log only.`)
  }
  return history
}

function prefixOption(prefix: unknown = 'sse'): string {
  if (typeof prefix === 'string' && /^[^\s{}]{1,100}$/u.test(prefix) && prefix.isWellFormed()) return prefix
  throw wrongOption('prefix', '1-100 characters without braces and white space', prefix)
}
