import { connectAll, cost, costColumns, format, type Scenario } from '../scenario.ts'

const WARM = 500
const STREAMS = 5_000

export const connects: Scenario = {
  name: 'connects',
  title: 'A storm of connections',
  about: 'All connect as fast as they can, 256 at a time, after a first few that have left again.',
  columns: costColumns('connection', 'connections'),
  peers: (all) => all,
  variants: ({ maxStreams, quick }) => {
    const count = quick ? STREAMS / 5 : Math.min(STREAMS, maxStreams)
    return [
      {
        name: format(count),
        run: async (bench) => {
          await connectAll(bench, WARM)
          await bench.client.disconnect()
          const usage = await connectAll(bench, count)
          const { foreignCores } = usage
          return [{ table: `${format(count)} connections`, values: cost(usage, count), foreignCores }]
        },
      },
    ]
  },
}
