import { connectAll, cost, costColumns, type Scenario, warmPosts } from '../scenario.ts'
import { deliveriesOf } from './deliveries.ts'

export const posts: Scenario = {
  name: 'posts',
  title: 'What a POST costs',
  about: 'One subscriber, so that almost all of it is the request.',
  columns: costColumns('POST', 'POSTs'),
  peers: (all) => all,
  variants: () => [
    {
      name: '1',
      run: async (bench) => {
        await warmPosts(bench)
        await connectAll(bench, 1)
        const { warmPostsMs, measureMs } = bench.mode
        const stretch = await bench.client.post({ window: 16, warmMs: warmPostsMs, ms: measureMs })
        return [deliveriesOf('1 subscriber, 16 in flight', stretch, cost(stretch.usage, stretch.published))]
      },
    },
  ],
}
