import type { Broker } from '../broker/broker.ts'
import { type Clock, MAX_DELAY_MS } from '../clock.ts'
import { choiceOption, integerOption, optionsObject, wrongOption } from '../option.ts'
import { serverClockOption } from '../server-clock.ts'
import { type Schema, Schemas } from './schemas.ts'

/** Options of `new ChannelHub()`. */
export interface HubOptions {
  /** The log. Default: `memoryBroker()`, with the hub's clock. */
  broker?: Broker | undefined
  /**
   * The treatment of a live subscriber over its high-water mark. `'replay'` (default): it is served from history when
   * its socket has drained, and becomes live again. `'disconnect'`: it is closed with `'slow'`, and reconnects.
   */
  slowSubscriber?: 'replay' | 'disconnect' | undefined
  /**
   * Bytes that may wait for a subscriber before it is no longer live. Checked after a write, so the maximum is this and
   * one batch or page. Default and minimum 65,536; raised to the size of the socket's own buffer.
   */
  highWaterMarkBytes?: number | undefined
  /**
   * Milliseconds without any progress until a lagging subscriber is closed with `'slow'`, or with `'error'` if the
   * broker does not answer. Default 30,000; 0 = never.
   */
  maxLagMs?: number | undefined
  /** Subscribed streams at a time; further ones are asked to reconnect later. Default 0 = no limit. */
  maxStreams?: number | undefined
  /** The same for one address (`req.ip`; IPv6 by /64): set `trust proxy` first. Default 0 = no limit. */
  maxStreamsPerAddress?: number | undefined
  /** Channels and patterns of one subscription. Default 64; at least 1. */
  maxChannelsPerSubscription?: number | undefined
  /** Bytes of one encoded event; a larger event is refused at publish. Default 1,048,576. */
  maxEventBytes?: number | undefined
  /**
   * A Standard Schema (Zod, Valibot, ArkType) for the data of a channel or pattern; a name takes precedence over
   * patterns. It checks data that is published in code or by POST, and refuses it with ERR_SSE_DATA_INVALID (422). The
   * data is published unchanged.
   */
  schemas?: Readonly<Record<string, Schema | undefined>> | undefined
  /** Time. Default: the system's. */
  clock?: Clock | undefined
}

/** Options with every default filled in. */
export interface ResolvedHubOptions {
  readonly slowSubscriber: 'replay' | 'disconnect'
  readonly highWaterMarkBytes: number
  readonly maxLagMs: number
  readonly maxStreams: number
  readonly maxStreamsPerAddress: number
  readonly maxChannelsPerSubscription: number
  readonly maxEventBytes: number
  readonly schemas: Schemas | undefined
  readonly clock: Clock
}

const NAMES = [
  'broker',
  'slowSubscriber',
  'highWaterMarkBytes',
  'maxLagMs',
  'maxStreams',
  'maxStreamsPerAddress',
  'maxChannelsPerSubscription',
  'maxEventBytes',
  'schemas',
  'clock',
] as const

const MIN_HIGH_WATER_MARK = 65_536
const MANY = 1_000_000_000

export function resolveHubOptions(given: HubOptions | undefined): ResolvedHubOptions {
  const options = optionsObject('new ChannelHub()', given, NAMES)
  assertBroker(options.broker)
  const { highWaterMarkBytes, maxStreamsPerAddress, maxChannelsPerSubscription } = options
  return {
    slowSubscriber: choiceOption('slowSubscriber', options.slowSubscriber, 'replay', ['replay', 'disconnect']),
    highWaterMarkBytes: Math.max(
      MIN_HIGH_WATER_MARK,
      integerOption('highWaterMarkBytes', highWaterMarkBytes, MIN_HIGH_WATER_MARK, 0, Number.MAX_SAFE_INTEGER),
    ),
    maxLagMs: integerOption('maxLagMs', options.maxLagMs, 30_000, 0, MAX_DELAY_MS),
    maxStreams: integerOption('maxStreams', options.maxStreams, 0, 0, MANY),
    maxStreamsPerAddress: integerOption('maxStreamsPerAddress', maxStreamsPerAddress, 0, 0, MANY),
    maxChannelsPerSubscription: integerOption('maxChannelsPerSubscription', maxChannelsPerSubscription, 64, 1, 100_000),
    maxEventBytes: integerOption('maxEventBytes', options.maxEventBytes, 1_048_576, 1, Number.MAX_SAFE_INTEGER),
    schemas: options.schemas === undefined ? undefined : new Schemas(options.schemas),
    clock: serverClockOption(options.clock),
  }
}

function assertBroker(broker: Broker | undefined): void {
  if (broker === undefined) return
  const methods = ['start', 'publish', 'subscribe', 'unsubscribe', 'read', 'latest', 'close'] as const
  const isBroker =
    typeof broker === 'object' && broker !== null && methods.every((m) => typeof broker[m] === 'function')
  if (!isBroker) throw wrongOption('broker', 'a broker, such as memoryBroker()', broker)
}
