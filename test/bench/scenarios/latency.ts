import { connectAll, cost, format, type Scenario, warmPosts } from '../scenario.ts'
import { deliveriesOf } from './deliveries.ts'

const SUBSCRIBERS = 1_000
const PER_SECOND = 50

export const latency: Scenario = {
  name: 'latency',
  title: 'From publishing to delivery',
  about:
    'A POST at a fixed rate. Milliseconds from its write until the client has read the event, over all deliveries: most of it is the time that one core needs for all subscribers, and another to read. On a busy machine the tails say more about the machine than about the server.',
  columns: [
    { key: 'p50', title: 'p50 ms', digits: 1 },
    { key: 'p90', title: 'p90 ms', digits: 1 },
    { key: 'p99', title: 'p99 ms', digits: 1 },
    { key: 'cpu', title: 'CPU µs per delivery', digits: 2 },
  ],
  peers: (all) => all,
  variants: ({ quick }) => [
    {
      name: format(SUBSCRIBERS),
      run: async (bench) => {
        await warmPosts(bench)
        await connectAll(bench, SUBSCRIBERS)
        const { warmMs, measureMs } = bench.mode
        const ms = measureMs * (quick ? 1 : 2)
        const stretch = await bench.client.paced({ perSecond: PER_SECOND, warmMs, ms })
        const { p50, p90, p99, usage, deliveries } = stretch
        const table = `${format(SUBSCRIBERS)} subscribers, ${PER_SECOND} events a second`
        return [deliveriesOf(table, stretch, { p50, p90, p99, cpu: cost(usage, deliveries).cpu })]
      },
    },
  ],
}
