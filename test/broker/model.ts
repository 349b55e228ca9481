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

export interface Settings {
  readonly general: Limits
  readonly a: Limits
  readonly patterned: Limits
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
  floor = 0
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
    const { maxEvents } = this.#limits(channel)
    this.facts.push({ seq, channel, bytes, at, kept: bytes * 16 <= this.#settings.maxBytes })
    this.#known.set(channel, { last: seq, at })
    const kept = this.#kept(channel)
    for (const fact of kept.slice(0, Math.max(0, kept.length - maxEvents))) fact.kept = false
    this.look()
  }

  /** What is too old by now, or too much, goes. */
  look(): void {
    const now = this.#clock.monotonic()
    for (const fact of this.#kept()) {
      const { maxAgeMs } = this.#limits(fact.channel)
      if (maxAgeMs > 0 && now - fact.at > maxAgeMs) fact.kept = false
    }
    for (const fact of this.#kept()) {
      if (this.#kept().reduce((sum, { bytes }) => sum + bytes, 0) > this.#settings.maxBytes) fact.kept = false
    }
    for (const [channel, { last, at }] of [...this.#known].sort(([, one], [, other]) => one.last - other.last)) {
      const over = now - at > this.#rememberMs && this.#kept(channel).length === 0
      if (!over && this.#known.size <= this.#settings.maxChannels) return
      this.#known.delete(channel)
      this.floor = Math.max(this.floor, last)
      for (const fact of this.#kept(channel)) fact.kept = false
    }
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

  #limits(channel: string): Limits {
    const { general, a, patterned } = this.#settings
    if (channel === 'a') return a
    return covers('p.*', channel) ? patterned : general
  }

  get #rememberMs(): number {
    const { general, a, patterned } = this.#settings
    return Math.max(HOUR_MS, general.maxAgeMs, a.maxAgeMs, patterned.maxAgeMs)
  }
}

/** An item, and the floor when its page was read. */
export interface Told {
  readonly item: StoredEvent | Loss
  readonly floor: number
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
  for (const { item, floor } of told) {
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
      if (!CHANNELS.includes(name)) expect(seq, `${name} is nothing but unknown`).toBe(floor)
      else if (seq > floor)
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
export const settings: fc.Arbitrary<Settings> = fc.record({
  general: limits,
  a: limits,
  patterned: limits,
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
