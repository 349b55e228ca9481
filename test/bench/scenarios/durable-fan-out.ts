import { durableHub, hub } from '../peers.ts'
import { connectAll, cost, costColumns, format, type Scenario, warmPosts } from '../scenario.ts'
import { deliveriesOf } from './deliveries.ts'

const SUBSCRIBERS = 1_000

export const durableFanOut: Scenario = {
  name: 'durable-fan-out',
  title: 'One channel, many subscribers, with the log on a disk',
  about:
    'As with one channel and many subscribers above. The only difference: each event is on disk before a subscriber receives it.',
  columns: costColumns('delivery', 'deliveries'),
  peers: (all) => (all.includes(hub) ? [hub, durableHub] : []),
  variants: ({ quick, warmMs, measureMs }) => [
    {
      name: format(SUBSCRIBERS),
      run: async (bench) => {
        await warmPosts(bench)
        await connectAll(bench, SUBSCRIBERS)
        const figures = []
        for (const window of quick ? [1] : [1, 2, 16]) {
          const ms = measureMs * (quick ? 2 : 3)
          const stretch = await bench.client.post({ window, warmMs: 2 * warmMs, ms })
          const table = `${format(SUBSCRIBERS)} subscribers, ${window} in flight`
          figures.push(deliveriesOf(table, stretch, cost(stretch.usage, stretch.deliveries)))
        }
        return figures
      },
    },
  ],
}
