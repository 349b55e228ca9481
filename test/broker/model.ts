import fc from 'fast-check'
import { expect } from 'vitest'
import { isLoss, type Loss, type PageLimit, type Selector } from '../../src/broker/broker.ts'
import type { StoredEvent } from '../../src/broker/stored-event.ts'
import { covers } from '../../src/channel-name.ts'
import type { ManualClock } from '../../src/testing/manual-clock.ts'
import { selector } from './support.ts'

export const CHANNELS = ['a', 'b', 'p.x', 'p.y', 'p.x.z']
const NAMES = [...CHANNELS, 'never', '*', 'p.*', 'p.>', '>', 'none.*']
const HOUR_MS = 3_600_000

interface Limits {
  readonly maxEvents: number
  readonly maxAgeMs: number
}

/** The limits of an entry of `history.channels`. */
interface EntryLimits extends Limits {
  readonly maxBytes: number | undefined
  readonly maxChannels: number | undefined
}

/** The entries that a channel may have, and those that a channel of a pattern may have. */
type Entry = 'general' | 'a' | 'patterned'
const ENTRIES: Record<string, readonly Entry[]> = {
  a: ['a'],
  b: ['general'],
  'p.x': ['patterned'],
  'p.y': ['patterned'],
  'p.x.z': ['general'],
  never: ['general'],
  '*': ['a', 'general'],
  'p.*': ['patterned'],
  'p.>': ['patterned', 'general'],
  '>': ['a', 'patterned', 'general'],
  'none.*': ['general'],
}

export interface Settings {
  readonly general: Limits
  readonly a: EntryLimits
  readonly patterned: EntryLimits
  readonly maxBytes: number
  readonly maxChannels: number
}

interface Fact {
  readonly seq: number
  readonly channel: string
  readonly bytes: number
  readonly at: number
  kept: boolean
}

/** The whole log, and what of it is kept as the options say it, found by looking at everything each time. */
export class Model {
  readonly facts: Fact[] = []
  /** For each entry the last event of any of its channels that was forgotten. */
  readonly #floors: Record<Entry, number> = { general: 0, a: 0, patterned: 0 }
  readonly #settings: Settings
  readonly #clock: ManualClock
  readonly #known = new Map<string, { last: number; at: number }>()

  constructor(settings: Settings, clock: ManualClock) {
    this.#settings = settings
    this.#clock = clock
  }

  get end(): number {
    return this.facts.length
  }

  append(channel: string, bytes: number): void {
    const seq = this.end + 1
    const at = this.#clock.monotonic()
    const { maxEvents, maxBytes = this.#settings.maxBytes } = this.#limits(channel)
    const mostBytes = Math.min(maxBytes, this.#settings.maxBytes)
    this.facts.push({ seq, channel, bytes, at, kept: bytes * 16 <= mostBytes })
    this.#known.set(channel, { last: seq, at })
    const kept = this.#kept(channel)
    for (const fact of kept.slice(0, Math.max(0, kept.length - maxEvents))) fact.kept = false
    this.#trimEntry(entryOf(channel))
    this.look()
  }

  /** Up to where a channel that is not remembered, or a pattern, may have lost events. */
  floorOf(name: string): number {
    return Math.max(...ENTRIES[name]!.map((entry) => this.#floors[entry]))
  }

  /** A limit of an entry counts its own channels, and deletes and forgets no others. */
  #trimEntry(entry: Entry): void {
    const { maxBytes, maxChannels } = this.#limitsOf(entry)
    const own = () => this.#kept().filter(({ channel }) => entryOf(channel) === entry)
    for (const fact of own()) if (total(own()) > (maxBytes ?? Number.POSITIVE_INFINITY)) fact.kept = false
    const names = this.#byLast().filter((channel) => entryOf(channel) === entry)
    for (const channel of names.slice(0, Math.max(0, names.length - (maxChannels ?? names.length))))
      this.#forget(channel)
  }

  /** What is too old by now, or too much, goes. */
  look(): void {
    const now = this.#clock.monotonic()
    for (const fact of this.#kept()) {
      const { maxAgeMs } = this.#limits(fact.channel)
      if (maxAgeMs > 0 && now - fact.at > maxAgeMs) fact.kept = false
    }
    for (const fact of this.#kept()) {
      if (total(this.#kept()) > this.#settings.maxBytes) fact.kept = false
    }
    for (const channel of this.#byLast()) {
      const { at } = this.#known.get(channel)!
      const over = now - at > this.#rememberMs && this.#kept(channel).length === 0
      if (!over && this.#known.size <= this.#settings.maxChannels) return
      this.#forget(channel)
    }
  }

  /** The channels that are remembered, the one with the oldest last event first. */
  #byLast(): string[] {
    return [...this.#known].sort(([, one], [, other]) => one.last - other.last).map(([channel]) => channel)
  }

  #forget(channel: string): void {
    const entry = entryOf(channel)
    this.#floors[entry] = Math.max(this.#floors[entry], this.#known.get(channel)!.last)
    this.#known.delete(channel)
    for (const fact of this.#kept(channel)) fact.kept = false
  }

  after(seq: number, of: Selector): Fact[] {
    return this.facts.filter((fact) => fact.seq > seq && of.matches(fact.channel))
  }

  /** The last `count` kept events of each channel, the newest within `max`. */
  latest(count: number, of: Selector, max: PageLimit): number[] {
    const each = CHANNELS.filter((channel) => of.matches(channel)).flatMap((channel) =>
      this.#kept(channel).slice(-count),
    )
    const taken: Fact[] = []
    for (const fact of each.sort((one, other) => other.seq - one.seq)) {
      const bytes = taken.reduce((sum, fact) => sum + fact.bytes, fact.bytes)
      if (taken.length > 0 && (taken.length >= max.events || bytes > max.bytes)) break
      taken.unshift(fact)
    }
    return taken.map(({ seq }) => seq)
  }

  #kept(channel?: string): Fact[] {
    return this.facts.filter((fact) => fact.kept && (channel === undefined || fact.channel === channel))
  }

  #limits(channel: string): Partial<EntryLimits> & Limits {
    return this.#limitsOf(entryOf(channel))
  }

  #limitsOf(entry: Entry): Partial<EntryLimits> & Limits {
    return this.#settings[entry]
  }

  get #rememberMs(): number {
    const { general, a, patterned } = this.#settings
    return Math.max(HOUR_MS, general.maxAgeMs, a.maxAgeMs, patterned.maxAgeMs)
  }
}

function entryOf(channel: string): Entry {
  return ENTRIES[channel]![0]!
}

function total(facts: readonly Fact[]): number {
  return facts.reduce((sum, { bytes }) => sum + bytes, 0)
}

/** An item, and for each name up to where it may have lost events when the page was read. */
export interface Told {
  readonly item: StoredEvent | Loss
  readonly floors: Readonly<Record<string, number>>
}

/** An item of a page that was read just now. */
export function toldNow(model: Model, item: StoredEvent | Loss): Told {
  return { item, floors: Object.fromEntries(NAMES.map((name) => [name, model.floorOf(name)])) }
}

/**
 * What a client has to be able to say of everything that it was sent from `after` on: each event once and in order, a
 * loss for every other event, in time, and no loss without one, except for events forgotten below the floor.
 */
export function verify(model: Model, after: number, of: Selector, told: readonly Told[]): void {
  let seq = after
  /** For each channel, the position up to which every event has arrived or was reported as lost. */
  const settled = new Map<string, number>()
  const upTo = (channel: string) => settled.get(channel) ?? after
  const open = (channel: string, to: number) =>
    model.after(after, of).filter((fact) => fact.channel === channel && fact.seq > upTo(channel) && fact.seq <= to)
  for (const { item, floors } of told) {
    expect(item.seq).toBeGreaterThan(seq)
    seq = item.seq
    if (!isLoss(item)) {
      expect(of.matches(item.channel)).toBe(true)
      expect(
        open(item.channel, item.seq).map((fact) => fact.seq),
        'silent loss',
      ).toEqual([item.seq])
      settled.set(item.channel, item.seq)
      continue
    }
    expect(new Set(item.channels).size).toBe(item.channels.length)
    for (const name of item.channels) {
      expect(of.channels.includes(name) || of.patterns.includes(name) || of.matches(name)).toBe(true)
      if (!CHANNELS.includes(name)) expect(seq, `${name} is nothing but unknown`).toBe(floors[name])
      else if (seq > floors[name]!)
        expect(
          open(name, seq).map((fact) => fact.seq),
          'false alarm',
        ).toContain(seq)
    }
    for (const channel of CHANNELS) {
      if (item.channels.some((name) => covers(name, channel))) settled.set(channel, Math.max(upTo(channel), seq))
    }
  }
  for (const channel of CHANNELS) expect(open(channel, model.end), `silent loss at the end: ${channel}`).toEqual([])
}

export type Step = { readonly channel: string; readonly bytes: number } | { readonly advance: number }

const limits = fc.record({
  maxEvents: fc.constantFrom(0, 1, 2, 3, 1_000),
  maxAgeMs: fc.constantFrom(0, 1_000, 60_000, 2 * HOUR_MS),
})
const entryLimits = fc.record({
  maxEvents: fc.constantFrom(0, 1, 2, 3, 1_000),
  maxAgeMs: fc.constantFrom(0, 1_000, 60_000, 2 * HOUR_MS),
  maxBytes: fc.constantFrom(undefined, 0, 800, 1_600, 1_000_000),
  maxChannels: fc.constantFrom(undefined, 1, 2, 100),
})
export const settings: fc.Arbitrary<Settings> = fc.record({
  general: limits,
  a: entryLimits,
  patterned: entryLimits,
  maxBytes: fc.constantFrom(0, 800, 3_200, 1_000_000),
  maxChannels: fc.constantFrom(1, 2, 3, 4, 100),
})
const append = fc.record({ channel: fc.constantFrom(...CHANNELS), bytes: fc.constantFrom(10, 50, 120, 200, 250) })
const advance = fc.record({ advance: fc.constantFrom(0, 500, 1_001, 59_000, 61_000, HOUR_MS, 3 * HOUR_MS) })
export const step: fc.Arbitrary<Step> = fc.oneof({ weight: 5, arbitrary: append }, { weight: 1, arbitrary: advance })
export const steps = fc.array(step, { maxLength: 40 })
export const wanted = fc.subarray(NAMES, { minLength: 1 }).map((names) => selector(...names))
export const limit: fc.Arbitrary<PageLimit> = fc.record({
  events: fc.constantFrom(1, 2, 3, 1_000),
  bytes: fc.constantFrom(1, 100, 260, 1_000_000),
})
