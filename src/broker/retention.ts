import { covers, isPattern, overlaps, parseChannelOrPattern } from '../channel-name.ts'
import type { SseError } from '../errors.ts'
import { booleanOption, integerOption, optionsObject, wrongOption } from '../option.ts'

/** Limits of one channel. */
export interface RetentionOptions {
  /** Events per channel. Default 1,000; 0 = none; at most 10,000,000. */
  maxEvents?: number | undefined
  /** Age in milliseconds after which an event is deleted. Default 3,600,000 (one hour); 0 = never. */
  maxAgeMs?: number | undefined
}

/** Limits of the channels that one entry of `history.channels` stands for. */
export interface EntryRetentionOptions extends RetentionOptions {
  /**
   * Bytes that the events of these channels take together, counted as for `history.maxBytes`. Default: no limit of their
   * own; 0 = none. Beyond it the oldest events of these channels are deleted first, and no others. An event larger than a sixteenth
   * of it is sent live but not kept.
   */
  maxBytes?: number | undefined
  /**
   * Names of these channels that are remembered. Default: no limit of their own. Beyond it the one of these channels whose
   * last event is the oldest is forgotten.
   */
  maxChannels?: number | undefined
  /**
   * Whether these channels are live only, such as typing indicators. Their events have no ID and are never kept, replayed or
   * reported as missing. Default false. `true` excludes every other option of the entry.
   */
  ephemeral?: boolean | undefined
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
   * whose last event is the oldest is forgotten; a publish is never refused. From then on a client with an older
   * position receives a gap for every channel of the same entry of `channels` (or of no entry) that is not remembered.
   */
  maxChannels?: number | undefined
  /**
   * Retention of single channels: names or patterns. A name takes precedence over patterns, then the first pattern that
   * matches. Where many may publish, `maxBytes` and `maxChannels` of an entry keep its channels from replacing the history and the
   * names of all others.
   */
  channels?: Record<string, EntryRetentionOptions> | undefined
}

/** The retention of the channels of one entry of `history.channels`, or of all other channels. Infinity = no limit. */
export interface Retention {
  /** The name or pattern of the entry; undefined for all other channels. */
  readonly entry: string | undefined
  /** Of each channel. */
  readonly maxEvents: number
  readonly maxAgeMs: number
  /** Of all these channels together. */
  readonly maxBytes: number
  readonly maxChannels: number
  /** The largest event that is kept. */
  readonly maxEventBytes: number
  readonly ephemeral: boolean
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
  /** Whether a channel that `asked`, a name or a pattern, stands for may have this entry (undefined: none). */
  mayHave(asked: string, entry: string | undefined): boolean
  /** Whether every channel that this name or pattern stands for is ephemeral; false where that is uncertain. */
  isEphemeral(nameOrPattern: string): boolean
}

const NAMES = ['maxEvents', 'maxAgeMs', 'maxBytes', 'maxChannels', 'channels'] as const
const ENTRY_NAMES = ['maxEvents', 'maxAgeMs', 'maxBytes', 'maxChannels', 'ephemeral'] as const
const HOUR_MS = 3_600_000
const MAX_CHANNELS = 100_000_000
/** The largest part of `maxBytes` that one event may take. */
const LARGEST_PART = 16

export function resolveHistoryOptions(given: HistoryOptions | undefined): ResolvedHistoryOptions {
  const options = optionsObject('history', given, NAMES)
  const maxBytes = integerOption('history.maxBytes', options.maxBytes, 67_108_864, 0, Number.MAX_SAFE_INTEGER)
  const general: Retention = {
    entry: undefined,
    ...resolveRetention('history', options, { maxEvents: 1_000, maxAgeMs: HOUR_MS }),
    maxBytes: Number.POSITIVE_INFINITY,
    maxChannels: Number.POSITIVE_INFINITY,
    maxEventBytes: maxBytes / LARGEST_PART,
    ephemeral: false,
  }
  const exact = new Map<string, Retention>()
  const patterns: [string, Retention][] = []
  for (const [name, one] of Object.entries(parseChannels(options.channels))) {
    const of = `history.channels[${JSON.stringify(name)}]`
    const retention = resolveEntry(of, name, optionsObject(of, one, ENTRY_NAMES), general)
    if (isPattern(name)) patterns.push([name, retention])
    else exact.set(name, retention)
  }
  const retentionOf = (channel: string) =>
    exact.get(channel) ?? patterns.find(([pattern]) => covers(pattern, channel))?.[1] ?? general
  const retentions = [general, ...exact.values(), ...patterns.map(([, retention]) => retention)]
  return {
    maxBytes,
    maxChannels: integerOption('history.maxChannels', options.maxChannels, 100_000, 1, MAX_CHANNELS),
    // The longest limited age: a channel without a limit keeps its events until others push them out.
    rememberMs: Math.max(HOUR_MS, ...retentions.map(({ maxAgeMs }) => (Number.isFinite(maxAgeMs) ? maxAgeMs : 0))),
    retentions,
    retentionOf,
    mayHave: (asked, entry) => {
      if (!isPattern(asked)) return retentionOf(asked).entry === entry
      if (entry !== undefined && !isPattern(entry)) return covers(asked, entry)
      if (entry !== undefined && !overlaps(entry, asked)) return false
      // An earlier pattern that stands for all channels of one of the two leaves none.
      const takesAll = (pattern: string) => covers(pattern, asked) || (entry !== undefined && covers(pattern, entry))
      return patterns.find(([pattern]) => takesAll(pattern))?.[0] === entry
    },
    isEphemeral: (asked) => {
      if (!retentions.some(({ ephemeral }) => ephemeral)) return false
      if (!isPattern(asked)) return retentionOf(asked).ephemeral
      // The entries up to the first that covers it, and the names that it matches, decide on all of its channels.
      const last = patterns.findIndex(([pattern]) => covers(pattern, asked))
      const names = [...exact].filter(([name]) => covers(asked, name))
      return last !== -1 && [...patterns.slice(0, last + 1), ...names].every(([, { ephemeral }]) => ephemeral)
    },
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
  return channels as Record<string, EntryRetentionOptions>
}

function resolveEntry(of: string, entry: string, options: EntryRetentionOptions, general: Retention): Retention {
  const { maxBytes, maxChannels } = options
  const ephemeral = booleanOption(`${of}.ephemeral`, options.ephemeral, false)
  for (const [name, value] of Object.entries(options)) {
    if (ephemeral && name !== 'ephemeral' && value !== undefined) {
      throw wrongOption(`${of}.${name}`, 'absent because `ephemeral` is true', value)
    }
  }
  const bytes =
    maxBytes === undefined
      ? Number.POSITIVE_INFINITY
      : integerOption(`${of}.maxBytes`, maxBytes, 0, 0, Number.MAX_SAFE_INTEGER)
  return {
    entry,
    ...resolveRetention(of, options, general),
    maxBytes: bytes,
    maxChannels:
      maxChannels === undefined
        ? Number.POSITIVE_INFINITY
        : integerOption(`${of}.maxChannels`, maxChannels, 1, 1, MAX_CHANNELS),
    maxEventBytes: Math.min(general.maxEventBytes, bytes / LARGEST_PART),
    ephemeral,
  }
}

function resolveRetention(
  of: string,
  options: RetentionOptions,
  fallback: Pick<Retention, 'maxEvents' | 'maxAgeMs'>,
): Pick<Retention, 'maxEvents' | 'maxAgeMs'> {
  const { maxEvents, maxAgeMs } = options
  return {
    maxEvents: integerOption(`${of}.maxEvents`, maxEvents, fallback.maxEvents, 0, 10_000_000),
    maxAgeMs:
      maxAgeMs === undefined
        ? fallback.maxAgeMs
        : integerOption(`${of}.maxAgeMs`, maxAgeMs, 0, 0, Number.MAX_SAFE_INTEGER) || Number.POSITIVE_INFINITY,
  }
}
