import { connectAll, cost, costColumns, format, type Scenario } from '../scenario.ts'
import { deliveriesOf } from './deliveries.ts'

const SUBSCRIBERS = 1_000
/** Events of one command: few enough that no buffer fills. */
const EVENTS = 64

export const inProcess: Scenario = {
  name: 'in-process',
  title: 'Published in the process of the server',
  about: `The server publishes on its own, ${EVENTS} events at a time, and continues when all subscribers have all of them. So of HTTP these figures include only the stream.`,
  columns: costColumns('delivery', 'deliveries'),
  peers: (all) => all.filter(({ isNode }) => isNode),
  variants: () => [
    {
      name: format(SUBSCRIBERS),
      run: async (bench) => {
        await connectAll(bench, SUBSCRIBERS)
        const figures = []
        for (const perTurn of [1, 16]) {
          const { warmMs, measureMs } = bench.mode
          const stretch = await bench.client.command({ n: EVENTS, perTurn, warmMs, ms: measureMs })
          const table = `${format(SUBSCRIBERS)} subscribers, ${perTurn} per turn of the loop`
          figures.push(deliveriesOf(table, stretch, cost(stretch.usage, stretch.deliveries)))
        }
        return figures
      },
    },
  ],
}
