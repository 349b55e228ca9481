import { hub, measuringHubs } from '../peers.ts'
import { type Figures, format, type Scenario } from '../scenario.ts'
import { ask } from './ask.ts'

const PLACES = [
  ['at the end', 1],
  ['in the middle', 0.5],
  ['at the beginning', 0],
] as const

export const largeLog: Scenario = {
  name: 'large-log',
  title: 'A large log on a disk',
  about:
    'A full log of 100 channels. The time to open it, from `sqliteBroker()` to `hub.ready()`; to read the next 200 events after a position, of one channel or of all; and until a client that reconnects 200 events of its channel behind is live. Then twice as many events are published as it holds.',
  columns: [
    { key: 'p50', title: 'p50 ms', digits: 2 },
    { key: 'p99', title: 'p99', digits: 2 },
    { key: 'mib', title: 'file MiB', digits: 0 },
    { key: 'wal', title: 'write-ahead log MiB, at most', digits: 0 },
    { key: 'rate', title: 'events/s', digits: 0 },
  ],
  isSteady: true,
  peers: (all) => (all.includes(hub) ? measuringHubs.slice(0, 1) : []),
  variants: ({ quick }) => {
    const count = quick ? 100_000 : 1_000_000
    const times = quick ? 50 : 200
    const prefix = `${format(count)} events: `
    return [
      {
        name: format(count),
        run: async ({ server }) => {
          const figures: Figures[] = []
          const measure = async (title: string, what: string, numbers: Readonly<Record<string, number>>) => {
            const values = await ask(server, what, numbers)
            figures.push({ table: prefix + title, values, foreignCores: Number.NaN })
          }
          await measure('made', 'make', { count })
          await measure('open', 'open', { times: 9 })
          for (const [title, place] of PLACES) {
            for (const all of [0, 1]) {
              await measure(`200 events of ${all === 0 ? 'one channel' : 'all'}, ${title}`, 'read', {
                place,
                all,
                times,
              })
            }
          }
          await measure('back until live, 200 events behind', 'resume', { times })
          await measure('twice as much published on', 'more', {})
          return figures
        },
      },
    ]
  },
}
