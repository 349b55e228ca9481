import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Schedule, type Step } from './schedule.ts'

const CLIENTS = [['a'], ['a', 'b', 'c.x'], ['c.*'], ['>']]
const channel = fc.constantFrom('a', 'b', 'c.x', 'c.y')
const client = fc.integer({ min: 0, max: CLIENTS.length - 1 })

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constantFrom('append' as const, 'append' as const, 'publish' as const), channel }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('trim' as const), channel }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant('hand over' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constantFrom('connect' as const, 'stall' as const, 'drain' as const, 'heartbeat' as const),
      client,
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constant('cut' as const), client, unread: fc.integer({ min: 0, max: 4 }) }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constantFrom('confirm' as const, 'serve' as const, 'deliver' as const, 'turn' as const, 'commit' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('break link' as const, 'forget tail' as const) }) },
)

it('each event once and in order, or one precise gap, whatever happens in whatever order', {
  timeout: 60_000,
}, async () => {
  let gaps = 0
  let received = 0
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 20, maxLength: 150, size: 'max' }),
      fc.constantFrom(1, 2, 3, 250),
      fc.boolean(),
      async (steps, pageEvents, live) => {
        const schedule = new Schedule(CLIENTS)
        schedule.broker.pageEvents = pageEvents
        if (live) await schedule.goLive()
        for (const step of steps) await schedule.take(step)
        expect(await schedule.finish()).toEqual([])
        for (const { reading } of schedule.clients) {
          gaps += reading.gaps
          received += reading.received
        }
      },
    ),
    { numRuns: Number(process.env['MODEL_RUNS'] ?? 1_500) },
  )
  // Schedules in which nothing happens would prove nothing.
  expect(received).toBeGreaterThan(10_000)
  expect(gaps).toBeGreaterThan(250)
})
