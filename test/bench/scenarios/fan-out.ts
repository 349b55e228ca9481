import { connectAll, cost, costColumns, format, type Scenario, warmPosts } from '../scenario.ts'
import { deliveriesOf } from './deliveries.ts'

export const fanOut: Scenario = {
  name: 'fan-out',
  title: 'One channel, many subscribers',
  about:
    'Events come by POST. The next one is sent when all subscribers have received one of those in flight, each over a separate keep-alive connection.',
  columns: costColumns('delivery', 'deliveries'),
  peers: (all) => all,
  variants: ({ maxStreams, quick }) =>
    (quick ? [1_000] : [100, 1_000, 5_000, 10_000])
      .filter((count) => count <= maxStreams)
      .map((count) => ({
        name: format(count),
        run: async (bench) => {
          await warmPosts(bench)
          await connectAll(bench, count)
          const figures = []
          for (const window of [1, 2, 16]) {
            const { warmMs, measureMs } = bench.mode
            const stretch = await bench.client.post({ window, warmMs, ms: measureMs })
            const table = `${format(count)} subscribers, ${window} in flight`
            figures.push(deliveriesOf(table, stretch, cost(stretch.usage, stretch.deliveries)))
          }
          return figures
        },
      })),
}
