import { hub, measuringHubs, rawSqlite } from '../peers.ts'
import { format, type Scenario } from '../scenario.ts'
import { ask } from './ask.ts'

interface Way {
  readonly batch: number
  /** Keeps everything; otherwise the default history. */
  readonly keeps: boolean
  /** With `publishAll`. */
  readonly together: boolean
}

const QUICK: Way = { batch: 128, keeps: true, together: false }
const WAYS: readonly Way[] = [
  { ...QUICK, batch: 1 },
  { ...QUICK, batch: 16 },
  QUICK,
  { ...QUICK, batch: 1_000 },
  { ...QUICK, batch: 1_000, together: true },
  { ...QUICK, keeps: false },
]

/** As fast as the disk takes it. */
export const durable: Scenario = {
  name: 'durable',
  title: 'Publishing into a log on a disk, as fast as possible',
  about:
    'In one process, without a network: the hub publishes with `hub.publish`, the given number of events in one turn of the loop, to one subscriber whose stream is discarded. While one batch is committed, the next one waits. "By hand" is the same rows in one prepared statement, a transaction for each batch, synchronous=FULL, and nothing else. Every batch is on disk before it is acknowledged. *Events a commit* is the resulting size of a batch.',
  columns: [
    { key: 'wall', title: 'µs per event', digits: 2 },
    { key: 'rate', title: 'events/s', digits: 0 },
    { key: 'batch', title: 'events a commit', digits: 0 },
    { key: 'cpu', title: 'CPU µs per event, all threads', digits: 2 },
    { key: 'user', title: 'user', digits: 2 },
    { key: 'kernel', title: 'kernel', digits: 2 },
  ],
  peers: (all) => (all.includes(hub) ? [...measuringHubs, rawSqlite] : []),
  variants: ({ quick, warmPostsMs, measureMs }) =>
    (quick ? [QUICK] : WAYS).map(({ batch, keeps, together }) => {
      const how = together ? ' with publishAll' : keeps ? '' : ', with the default retention'
      const table = `${format(batch)} at a time${how}`
      const numbers = { batch, keeps: Number(keeps), together: Number(together), warmMs: warmPostsMs, ms: measureMs }
      return {
        name: table,
        run: async ({ server }) => {
          return [{ table, values: await ask(server, 'publish', numbers), foreignCores: Number.NaN }]
        },
      }
    }),
}

/** At a rate that leaves time. */
export const durablePace: Scenario = {
  name: 'durable-pace',
  title: 'Publishing into a log on a disk, at a fixed rate',
  about:
    'The same, with the due events published once a millisecond. The figures are milliseconds from a publish to its receipt, which cannot be less than the time of the disk: *sync* is `fdatasync` after 4 KiB more in a file beside the log. *Loop delay* is the delay of the event loop by `monitorEventLoopDelay`, including its timer of one millisecond.',
  columns: [
    { key: 'ack50', title: 'receipt p50 ms', digits: 2 },
    { key: 'ack99', title: 'p99', digits: 2 },
    { key: 'delay99', title: 'loop delay p99 ms', digits: 2 },
    { key: 'delayMax', title: 'greatest', digits: 1 },
    { key: 'batch', title: 'events a commit', digits: 1 },
    { key: 'cpu', title: 'CPU µs per event, all threads', digits: 1 },
    { key: 'rate', title: 'events/s', digits: 0 },
    { key: 'sync50', title: 'sync p50 ms', digits: 2 },
    { key: 'sync99', title: 'p99', digits: 2 },
  ],
  peers: (all) => (all.includes(hub) ? measuringHubs : []),
  variants: ({ quick, warmMs, measureMs }) =>
    [5_000, 20_000].map((rate) => {
      const table = `${format(rate)} events a second`
      return {
        name: table,
        run: async ({ server }) => {
          const values = await ask(server, 'pace', { rate, warmMs: 2 * warmMs, ms: measureMs * (quick ? 2 : 4) })
          return [{ table, values, foreignCores: Number.NaN }]
        },
      }
    }),
}
