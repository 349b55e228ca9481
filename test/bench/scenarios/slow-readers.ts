import { setTimeout as sleep } from 'node:timers/promises'
import { connectAll, cost, format, type Scenario } from '../scenario.ts'
import { deliveriesOf } from './deliveries.ts'

const FAST = 90
const SLOW = 10
const SIZE = 6_000
const LIMIT_MS = 20_000

export const slowReaders: Scenario = {
  name: 'slow-readers',
  title: 'Subscribers that do not read',
  about: `${SLOW} of ${FAST + SLOW} subscribers never read a byte. How far the memory of the server grows, whether the others get everything, and whether the server still answers.`,
  columns: [
    { key: 'grown', title: 'RSS grown by MiB', digits: 0 },
    { key: 'cpu', title: 'CPU µs per delivery', digits: 2 },
    { key: 'rate', title: 'deliveries/s', digits: 0 },
    { key: 'complete', title: '% delivered to clients that read', digits: 2 },
    { key: 'alive', title: 'answers (1 = yes)', digits: 0 },
  ],
  isSteady: true,
  peers: (all) => all,
  variants: ({ quick }) => {
    const events = quick ? 150 : 10_000
    return [
      {
        name: format(events),
        size: SIZE,
        run: async (bench) => {
          const { client, server } = bench
          await connectAll(bench, FAST)
          await client.post({ window: 8, warmMs: 0, ms: 500 })
          await client.connectSlow(SLOW)
          await sleep(500)
          const before = server.residentKiB()
          const stretch = await client.postToSlow({ window: 8, warmMs: 0, ms: LIMIT_MS, events })
          const { published, deliveries } = stretch
          const values = {
            ...cost(stretch.usage, deliveries),
            grown: (stretch.peakKiB - before) / 1_024,
            complete: (deliveries * 100) / (published * FAST),
            alive: (await client.connect(FAST + 1, 1, 5_000)).connected === FAST + 1 ? 1 : 0,
          }
          const table = `${format(events)} events of ${format(SIZE)} bytes`
          const figures = deliveriesOf(table, stretch, values)
          if (published >= events) return [figures]
          return [{ ...figures, note: `stopped after ${LIMIT_MS / 1_000} s and ${format(published)} events` }]
        },
      },
    ]
  },
}
