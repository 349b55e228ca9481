import fc from 'fast-check'
import { expect, it } from 'vitest'
import { isLoss, type Loss, type PageLimit, type Selector } from '../../../../src/broker/broker.ts'
import type { EventRow, PageRows } from '../../../../src/broker/sqlite/log/page-rows.ts'
import type { StoredEvent } from '../../../../src/broker/stored-event.ts'
import { type ManualClock, manualClock } from '../../../../src/testing/manual-clock.ts'
import {
  settings as anySettings,
  limit,
  Model,
  type Settings,
  type Step,
  step,
  steps,
  type Told,
  toldNow,
  verify,
  wanted,
} from '../../model.ts'
import { stored } from '../../support.ts'
import { temporaryFolder } from '../support.ts'
import { Log } from './log.ts'

/**
 * Expired rows count for the bytes of the log and of an entry until they are deleted, so the oldest event may go a little
 * earlier than the model says: either the bytes are limited or the rest.
 */
const settings = anySettings.map((given) => {
  const isTight = (bytes: number | undefined) => bytes !== undefined && bytes > 0 && bytes <= 100_000
  const all = { maxEvents: 1_000, maxAgeMs: 0, maxChannels: undefined }
  const { a, patterned } = given
  if (![given, a, patterned].some(({ maxBytes }) => isTight(maxBytes))) return given
  return { ...given, general: all, a: { ...a, ...all }, patterned: { ...patterned, ...all }, maxChannels: 100 }
})

/** A log on disk beside its model. All is swept after each step: channels are forgotten for their age by sweeps alone. */
class Pair {
  readonly model: Model
  readonly #log: Log
  readonly #clock: ManualClock

  private constructor(settings: Settings, log: Log, clock: ManualClock) {
    this.model = new Model(settings, clock)
    this.#log = log
    this.#clock = clock
  }

  static async open(file: string, { general, a, patterned, maxBytes, maxChannels }: Settings): Promise<Pair> {
    const history = { ...general, maxBytes, maxChannels, channels: { 'p.*': patterned, a } }
    const log = await Log.open(file, { history })
    return new Pair({ general, a, patterned, maxBytes, maxChannels }, log, manualClock())
  }

  apply(step: Step): void {
    if ('advance' in step) {
      this.#clock.advance(step.advance)
      this.model.look()
    } else {
      this.model.append(step.channel, step.bytes)
      this.#log.append(this.#clock.monotonic(), stored(this.model.end, step.channel, { bytes: step.bytes }))
    }
    this.#log.sweep(this.#clock.monotonic())
  }

  read(after: number, of: Selector, max: PageLimit) {
    const { items, upto, end } = this.#log.read(after, of, max, this.#clock.monotonic())
    return { items: items.map(toStored), upto, end }
  }

  latest(count: number, of: Selector, max: PageLimit): PageRows {
    return this.#log.reader.latest(count, of, max, this.#clock.monotonic())
  }

  close(): void {
    this.#log.close()
  }
}

function toStored(item: EventRow | Loss): StoredEvent | Loss {
  if ('channels' in item) return item
  return stored(item.seq, item.channel, { prev: item.prev, data: item.data })
}

/** Every step is a transaction. */
const LONG = { timeout: 120_000 }

/** Pairs for the runs of one test. */
function pairs() {
  const folder = temporaryFolder()
  let count = 0
  return async (settings: Settings, fn: (pair: Pair) => void): Promise<void> => {
    const pair = await Pair.open(`${folder}/${count++}.db`, settings)
    try {
      fn(pair)
    } finally {
      pair.close()
    }
  }
}

it(
  'every cursor and every way to cut pages gives each kept event once, and one loss for all that is not',
  LONG,
  async () => {
    const withPair = pairs()
    await fc.assert(
      fc.asyncProperty(settings, steps, wanted, limit, (settings, steps, of, max) =>
        withPair(settings, (pair) => {
          for (const step of steps) pair.apply(step)
          for (let after = 0; after <= pair.model.end; after++) {
            const told: Told[] = []
            for (let from = after; ; ) {
              const { items, upto, end } = pair.read(from, of, max)
              expect(items.length).toBeLessThanOrEqual(max.events)
              const bytes = items.reduce((sum, item) => sum + (isLoss(item) ? 0 : item.bytes), 0)
              if (items.length > 1) expect(bytes).toBeLessThanOrEqual(max.bytes)
              told.push(...items.map((item) => toldNow(pair.model, item)))
              from = upto
              if (end) break
              expect(upto).toBe(items.at(-1)!.seq)
            }
            const delivered = told.filter(({ item }) => !isLoss(item)).map(({ item }) => item.seq)
            const kept = pair.model.after(after, of).filter((fact) => fact.kept)
            expect(delivered).toEqual(kept.map(({ seq }) => seq))
            verify(pair.model, after, of, told)
          }
        }),
      ),
      { numRuns: 100 },
    )
  },
)

it('a client that reads while the log grows and is trimmed receives every event or a loss', LONG, async () => {
  const withPair = pairs()
  const schedule = fc.array(
    fc.oneof({ weight: 3, arbitrary: step }, { weight: 2, arbitrary: fc.record({ read: limit }) }),
    { maxLength: 80 },
  )
  const begin = fc.double({ min: 0, max: 1, noNaN: true })
  await fc.assert(
    fc.asyncProperty(settings, steps, begin, wanted, schedule, (settings, before, begin, of, schedule) =>
      withPair(settings, (pair) => {
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
    ),
    { numRuns: 150 },
  )
})

it('latest gives the last kept events of each channel, the newest within its limits', LONG, async () => {
  const withPair = pairs()
  const counts = fc.integer({ min: 1, max: 5 })
  await fc.assert(
    fc.asyncProperty(settings, steps, wanted, limit, counts, (settings, steps, of, max, count) =>
      withPair(settings, (pair) => {
        for (const step of steps) pair.apply(step)
        const { items } = pair.latest(count, of, max)
        expect(items.map(({ seq }) => seq)).toEqual(pair.model.latest(count, of, max))
      }),
    ),
    { numRuns: 100 },
  )
})
