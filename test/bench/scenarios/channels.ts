import { connectAll, cost, costColumns, format, type Scenario, warmPosts } from '../scenario.ts'
import { deliveriesOf } from './deliveries.ts'

const CHANNELS = 500
const PER_CHANNEL = 10
const WINDOW = 16

export const channels: Scenario = {
  name: 'channels',
  title: 'Many channels, few subscribers each',
  about: 'Events come by POST, to one channel after the other. Few deliveries share the cost of a POST here.',
  columns: costColumns('delivery', 'deliveries'),
  peers: (all) => all,
  variants: ({ maxStreams, quick }) => {
    const count = Math.min(CHANNELS, Math.floor(maxStreams / PER_CHANNEL)) / (quick ? 5 : 1)
    return [
      {
        name: format(count),
        run: async (bench) => {
          await warmPosts(bench)
          await connectAll(bench, count * PER_CHANNEL, count)
          const { warmMs, measureMs } = bench.mode
          const stretch = await bench.client.post({ window: WINDOW, warmMs, ms: measureMs })
          const table = `${format(count)} channels with ${PER_CHANNEL} subscribers each, ${WINDOW} in flight`
          return [deliveriesOf(table, stretch, cost(stretch.usage, stretch.deliveries))]
        },
      },
    ]
  },
}
