import { covers, isPattern, parseChannelOrPattern } from '../channel-name.ts'
import type { SseError } from '../errors.ts'
import { integerOption, optionsObject } from '../option.ts'

/** Limits of one channel. */
export interface RetentionOptions {
  /** Events per channel. Default 1,000; 0 = none; at most 10,000,000. */
  maxEvents?: number | undefined
  /** Age in milliseconds after which an event is deleted. Default 3,600,000 (one hour); 0 = never. */
  maxAgeMs?: number | undefined
}

/** Limits of the log. */
export interface HistoryOptions extends RetentionOptions {
  /**
   * Bytes that the events of the whole log take. In memory that is the actual use: about 300 bytes for each channel
   * with events, and for each event 540 and three times its text. In a file it is the text. Default 67,108,864 (64
   * MiB); 0 = none. Beyond it the oldest events of the log are deleted first, in every channel. An event larger than a
   * sixteenth of it is sent live but not kept.
   */
  maxBytes?: number | undefined
  /**
   * Channel names that are remembered, with the position of their last event. Default 100,000. Beyond it the channel
   * whose last event is the oldest is forgotten; a publish is never refused.
   */
  maxChannels?: number | undefined
  /**
   * Retention of single channels: names or patterns. A name takes precedence over patterns, then the first pattern that
   * matches.
   */
  channels?: Record<string, RetentionOptions> | undefined
}

export interface Retention {
  readonly maxEvents: number
  /** Infinity = no limit. */
  readonly maxAgeMs: number
}

/** Options of a history with every default filled in. */
export interface ResolvedHistoryOptions {
  readonly maxBytes: number
  readonly maxChannels: number
  /** The minimum time that the name of a channel is remembered after its last event. */
  readonly rememberMs: number
  /** All retentions. The retention of a channel is chosen once, at its first event. */
  readonly retentions: readonly Retention[]
  retentionOf(channel: string): Retention
}

const NAMES = ['maxEvents', 'maxAgeMs', 'maxBytes', 'maxChannels', 'channels'] as const
const HOUR_MS = 3_600_000

export function resolveHistoryOptions(given: HistoryOptions | undefined): ResolvedHistoryOptions {
  const options = optionsObject('history', given, NAMES)
  const general = resolveRetention('history', options, { maxEvents: 1_000, maxAgeMs: HOUR_MS })
  const exact = new Map<string, Retention>()
  const patterns: [string, Retention][] = []
  for (const [name, one] of Object.entries(parseChannels(options.channels))) {
    const of = `history.channels[${JSON.stringify(name)}]`
    const retention = resolveRetention(of, optionsObject(of, one, ['maxEvents', 'maxAgeMs']), general)
    if (isPattern(name)) patterns.push([name, retention])
    else exact.set(name, retention)
  }
  const retentions = [general, ...exact.values(), ...patterns.map(([, retention]) => retention)]
  return {
    maxBytes: integerOption('history.maxBytes', options.maxBytes, 67_108_864, 0, Number.MAX_SAFE_INTEGER),
    maxChannels: integerOption('history.maxChannels', options.maxChannels, 100_000, 1, 100_000_000),
    // The longest limited age: a channel without a limit keeps its events until others push them out.
    rememberMs: Math.max(HOUR_MS, ...retentions.map(({ maxAgeMs }) => (Number.isFinite(maxAgeMs) ? maxAgeMs : 0))),
    retentions,
    retentionOf: (channel) =>
      exact.get(channel) ?? patterns.find(([pattern]) => covers(pattern, channel))?.[1] ?? general,
  }
}

function parseChannels(channels: unknown = {}): NonNullable<HistoryOptions['channels']> {
  if (typeof channels !== 'object' || channels === null) {
    throw new TypeError('Option `history.channels` must be an object whose keys are channel names and patterns.')
  }
  try {
    for (const name of Object.keys(channels)) parseChannelOrPattern(name)
  } catch (error) {
    throw new TypeError(`Option \`history.channels\`: ${(error as SseError).detail}`)
  }
  return channels as Record<string, RetentionOptions>
}

function resolveRetention(of: string, options: RetentionOptions, fallback: Retention): Retention {
  const { maxEvents, maxAgeMs } = options
  return {
    maxEvents: integerOption(`${of}.maxEvents`, maxEvents, fallback.maxEvents, 0, 10_000_000),
    maxAgeMs:
      maxAgeMs === undefined
        ? fallback.maxAgeMs
        : integerOption(`${of}.maxAgeMs`, maxAgeMs, 0, 0, Number.MAX_SAFE_INTEGER) || Number.POSITIVE_INFINITY,
  }
}
