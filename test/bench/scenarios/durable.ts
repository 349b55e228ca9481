import { hub, measuringHubs, rawSqlite } from '../peers.ts'
import { format, type Scenario } from '../scenario.ts'
import { ask } from './ask.ts'

const BATCHES = [1, 16, 128, 1_000]

/** As fast as the disk takes it. */
export const durable: Scenario = {
  name: 'durable',
  title: 'Publishing into a log on a disk, as fast as it goes',
  about:
    'In one process, without a network: the hub publishes one event after the other with `hub.publish`, so many in one turn of the loop, to one subscriber whose stream goes nowhere; while one batch is committed the next one waits. By hand it is the same rows in one prepared statement, a transaction for each batch, synchronous=FULL, and nothing else. Every batch is on the disk before it is acknowledged. *Events a commit* says what a batch came to be.',
  columns: [
    { key: 'wall', title: 'µs per event', digits: 2 },
    { key: 'rate', title: 'events/s', digits: 0 },
    { key: 'batch', title: 'events a commit', digits: 0 },
    { key: 'cpu', title: 'CPU µs per event, all threads', digits: 2 },
    { key: 'user', title: 'user', digits: 2 },
    { key: 'kernel', title: 'kernel', digits: 2 },
  ],
  peers: (all) => (all.includes(hub) ? [...measuringHubs, rawSqlite] : []),
  variants: ({ quick, warmMs, measureMs }) =>
    [...(quick ? [128] : BATCHES).map((batch) => [batch, 1] as const), ...(quick ? [] : [[128, 0] as const])].map(
      ([batch, keeps]) => {
        const table = `${format(batch)} at a time${keeps === 1 ? '' : ', with what retention deletes by default'}`
        return {
          name: table,
          run: async ({ server }) => {
            const values = await ask(server, 'publish', { batch, keeps, warmMs: 2 * warmMs, ms: 2 * measureMs })
            return [{ table, values, foreignCores: Number.NaN }]
          },
        }
      },
    ),
}

/** At a rate that leaves time. */
export const durablePace: Scenario = {
  name: 'durable-pace',
  title: 'Publishing into a log on a disk, at a fixed rate',
  about:
    'The same, with what is due published once a millisecond. Milliseconds from a publish until its receipt, of which all can be no less than what the disk takes to keep something: *sync* is `fdatasync` after 4 KiB more in a file beside the log. *Loop delay* is that of the event loop, as `monitorEventLoopDelay` sees it with a timer of one millisecond, which is in it.',
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
