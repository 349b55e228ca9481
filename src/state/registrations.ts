import { covers, isPattern, overlaps, parseChannelOrPattern } from '../channel-name.ts'
import { SseError } from '../errors.ts'
import { integerOption, optionsObject, wrongOption } from '../option.ts'

/**
 * The state of one channel, the same for every subscriber: data for JSON; `null` if the state was deleted; `undefined` if
 * the channel has no snapshot. It reads the primary database, to which the application writes before it publishes.
 */
export type SnapshotFunction = (channel: string, context: { readonly signal: AbortSignal }) => unknown

/** The channels of a pattern that have state: at most 1,000. */
export type ListFunction = (
  pattern: string,
  context: { readonly signal: AbortSignal },
) => Iterable<string> | PromiseLike<Iterable<string>>

/** Options of `hub.snapshot()`. */
export interface SnapshotOptions {
  /** Returns the channels of a pattern that have state. Without it a subscriber of a pattern gets gaps. */
  list?: ListFunction | undefined
  /** Milliseconds for which an answer may be used again. Default 1,000; 0 = never. */
  maxAgeMs?: number | undefined
}

export interface Registration {
  readonly name: string
  readonly state: SnapshotFunction
  readonly list: ListFunction | undefined
  readonly maxAgeMs: number
}

/** The functions of the channels with state. Of several that match, the exact name counts, then the first pattern. */
export class Registrations {
  readonly #exact = new Map<string, Registration>()
  readonly #patterns: Registration[] = []

  /** Throws a TypeError that names an invalid argument. */
  add(name: string, state: SnapshotFunction, options: SnapshotOptions | undefined): void {
    parseChannelOrPattern(name)
    if (typeof state !== 'function') throw wrongOption('fn', 'a function', state)
    const { list, maxAgeMs } = optionsObject('snapshot()', options, ['list', 'maxAgeMs'])
    if (list !== undefined && typeof list !== 'function') throw wrongOption('list', 'a function', list)
    if (list !== undefined && !isPattern(name)) {
      throw new TypeError(`Option \`list\` is not allowed for the channel ${name}. Allowed: for a pattern.`)
    }
    if (this.#exact.has(name) || this.#patterns.some((one) => one.name === name)) {
      throw new TypeError(`${name} has a snapshot function already.`)
    }
    const age = integerOption('maxAgeMs', maxAgeMs, 1_000, 0, 3_600_000)
    const registration = { name, state, list, maxAgeMs: age }
    if (isPattern(name)) this.#patterns.push(registration)
    else this.#exact.set(name, registration)
  }

  /** The registration of a channel. */
  of(channel: string): Registration | undefined {
    return this.#exact.get(channel) ?? this.#patterns.find(({ name }) => covers(name, channel))
  }

  /** Every registration that may have channels of a pattern. */
  within(pattern: string): Registration[] {
    const exact = [...this.#exact.values()].filter(({ name }) => covers(pattern, name))
    return [...exact, ...this.#patterns.filter(({ name }) => overlaps(name, pattern))]
  }

  /** The registration that has every channel of a pattern. */
  covering(pattern: string): Registration | undefined {
    return this.#patterns.find(({ name }) => covers(name, pattern))
  }
}

/** The channels of a list, checked. */
export function assertListed(pattern: string, listed: unknown): string[] {
  const channels = [...(listed as Iterable<string>)]
  if (channels.length > 1_000) {
    throw new SseError('ERR_SSE_TOO_MANY_CHANNELS', `\`list\` returned over 1,000 channels for ${pattern}.`)
  }
  return channels
}
