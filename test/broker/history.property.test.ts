import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isLoss, type Loss, type PageLimit, type Selector, type StoredEvent } from '../../src/broker/broker.ts'
import { History } from '../../src/broker/history.ts'
import { type HistoryOptions, type RetentionOptions, resolveHistoryOptions } from '../../src/broker/retention.ts'
import { covers } from '../../src/channel-name.ts'
import { type ManualClock, manualClock } from '../../src/testing/manual-clock.ts'
import { selector, stored } from './support.ts'

const CHANNELS = ['a', 'b', 'p.x', 'p.y', 'p.x.z']
const HOUR_MS = 3_600_000

interface Settings {
  readonly general: Required<RetentionOptions>
  readonly a: Required<RetentionOptions>
  readonly patterned: Required<RetentionOptions>
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

/** The whole log, and what of it is kept, as the options say it: found by looking at everything each time. */
class Model {
  readonly facts: Fact[] = []
  floor = 0
  readonly #settings: Settings
  readonly #clock: ManualClock
  readonly #known = new Map<string, { last: number; at: number }>()

  constructor(settings: Settings, clock: ManualClock) {
    this.#settings = settings
    this.#clock = clock
  }

  append(channel: string, bytes: number): number {
    const seq = this.facts.length + 1
    const at = this.#clock.monotonic()
    const { maxEvents } = this.#retention(channel)
    const kept = maxEvents > 0 && bytes * 16 <= this.#settings.maxBytes
    this.facts.push({ seq, channel, bytes, at, kept })
    this.#known.set(channel, { last: seq, at })
    for (const fact of this.#kept(channel).slice(0, -maxEvents || undefined)) fact.kept = false
    this.look()
    return seq
  }

  /** Whatever is too old by now, or too much, goes. */
  look(): void {
    const now = this.#clock.monotonic()
    for (const fact of this.#kept()) {
      const { maxAgeMs } = this.#retention(fact.channel)
      if (maxAgeMs > 0 && now - fact.at > maxAgeMs) fact.kept = false
    }
    for (const fact of this.#kept()) {
      if (this.#kept().reduce((sum, { bytes }) => sum + bytes, 0) > this.#settings.maxBytes) fact.kept = false
    }
    for (const [channel, { last, at }] of [...this.#known].sort(([, a], [, b]) => a.last - b.last)) {
      const quiet = now - at > this.#rememberMs && this.#kept(channel).length === 0
      if (!quiet && this.#known.size <= this.#settings.maxChannels) return
      this.#known.delete(channel)
      this.floor = Math.max(this.floor, last)
      for (const fact of this.#kept(channel)) fact.kept = false
    }
  }

  knows(channel: string): boolean {
    return this.#known.has(channel)
  }

  after(seq: number, of: Selector): Fact[] {
    return this.facts.filter((fact) => fact.seq > seq && of.matches(fact.channel))
  }

  #kept(channel?: string): Fact[] {
    return this.facts.filter((fact) => fact.kept && (channel === undefined || fact.channel === channel))
  }

  #retention(channel: string): Required<RetentionOptions> & { maxEvents: number; maxAgeMs: number } {
    const { general, a, patterned } = this.#settings
    const retention = channel === 'a' ? a : channel === 'p.x' || channel === 'p.y' ? patterned : general
    return retention as ReturnType<Model['knows']> extends boolean ? { maxEvents: number; maxAgeMs: number } : never
  }

  get #rememberMs(): number {
    const { general, a, patterned } = this.#settings
    return Math.max(HOUR_MS, general.maxAgeMs ?? 0, a.maxAgeMs ?? 0, patterned.maxAgeMs ?? 0)
  }
}
