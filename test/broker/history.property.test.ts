import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isLoss, type PageLimit, type Selector } from '../../src/broker/broker.ts'
import { History } from '../../src/broker/history.ts'
import { resolveHistoryOptions } from '../../src/broker/retention.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import {
  limit,
  Model,
  type Settings,
  type Step,
  settings,
  step,
  steps,
  type Told,
  toldNow,
  verify,
  wanted,
} from './model.ts'
import { selector, stored } from './support.ts'

/** A history beside its model. */
class Pair {
  readonly model: Model
  readonly history: History
  readonly #clock = manualClock()

  constructor(settings: Settings) {
    const { general, a, patterned, maxBytes, maxChannels } = settings
    const channels = { 'p.*': patterned, a }
    this.model = new Model(settings, this.#clock)
    this.history = new History(resolveHistoryOptions({ ...general, maxBytes, maxChannels, channels }), this.#clock, {
      event: ({ bytes }) => bytes,
      channel: 0,
    })
  }

  apply(step: Step): void {
    if ('advance' in step) {
      this.#clock.advance(step.advance)
      // Both look now, whenever the sweep did.
      this.read(0, selector('never'), { events: 1, bytes: 1 })
      return
    }
    const { channel, bytes } = step
    const prev = this.history.lastOf(channel)
    this.model.append(channel, bytes)
    this.history.append(stored(this.model.end, channel, { prev, bytes }))
  }

  read(after: number, of: Selector, max: PageLimit) {
    this.model.look()
    return this.history.read(after, this.model.end, of, max)
  }
}

it('every cursor and every way to cut pages gives each kept event once, and one loss for all that is not', () => {
  fc.assert(
    fc.property(
      settings,
      steps,
      fc.array(wanted, { minLength: 3, maxLength: 3 }),
      limit,
      (settings, steps, of, max) => {
        const pair = new Pair(settings)
        for (const step of steps) pair.apply(step)
        for (const selector of of) {
          for (let after = 0; after <= pair.model.end; after++) {
            const told: Told[] = []
            for (let from = after; ; ) {
              const { items, upto, end } = pair.read(from, selector, max)
              expect(items.length).toBeLessThanOrEqual(max.events)
              const bytes = items.reduce((sum, item) => sum + (isLoss(item) ? 0 : item.fields.length), 0)
              if (items.length > 1) expect(bytes).toBeLessThanOrEqual(max.bytes)
              told.push(...items.map((item) => toldNow(pair.model, item)))
              from = upto
              if (end) break
              expect(upto).toBe(items.at(-1)!.seq)
            }
            const delivered = told.filter(({ item }) => !isLoss(item)).map(({ item }) => item.seq)
            const kept = pair.model.after(after, selector).filter((fact) => fact.kept)
            expect(delivered).toEqual(kept.map(({ seq }) => seq))
            verify(pair.model, after, selector, told)
          }
        }
      },
    ),
    { numRuns: 400 },
  )
})

it('a client that reads while the log grows and is trimmed receives every event or a loss', () => {
  const reading = fc.record({ read: limit })
  const schedule = fc.array(fc.oneof({ weight: 3, arbitrary: step }, { weight: 2, arbitrary: reading }), {
    maxLength: 80,
  })
  fc.assert(
    fc.property(settings, steps, fc.double({ min: 0, max: 1, noNaN: true }), wanted, schedule, (...given) => {
      const [settings, before, begin, of, schedule] = given
      const pair = new Pair(settings)
      for (const step of before) pair.apply(step)
      const after = Math.floor(begin * pair.model.end)
      const told: Told[] = []
      let position = after
      const read = (max: PageLimit): boolean => {
        const { items, upto, end } = pair.read(position, of, max)
        told.push(...items.map((item) => toldNow(pair.model, item)))
        position = upto
        return end
      }
      for (const next of schedule) {
        if ('read' in next) read(next.read)
        else pair.apply(next)
      }
      while (!read({ events: 3, bytes: 1_000 }));
      expect(position).toBe(pair.model.end)
      verify(pair.model, after, of, told)
    }),
    { numRuns: 1_000 },
  )
})

it('latest gives the last kept events of each channel, the newest within its limits', () => {
  fc.assert(
    fc.property(settings, steps, wanted, limit, fc.integer({ min: 1, max: 5 }), (settings, steps, of, max, count) => {
      const pair = new Pair(settings)
      for (const step of steps) pair.apply(step)
      pair.model.look()
      expect(pair.history.latest(count, of, max).map(({ seq }) => seq)).toEqual(pair.model.latest(count, of, max))
    }),
    { numRuns: 500 },
  )
})
