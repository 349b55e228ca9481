import { cost, costColumns, format, type Scenario } from '../scenario.ts'
import { deliveriesOf } from './deliveries.ts'

const CLIENTS = 1_000
const MISSED = 100

export const reconnects: Scenario = {
  name: 'reconnects',
  title: 'A storm of reconnecting clients',
  about: `${format(CLIENTS)} clients reconnect with the ID of their last event, each ${MISSED} events behind. Only servers that replay take part.`,
  columns: [
    ...costColumns('reconnection', 'reconnections'),
    { key: 'replayed', title: 'events replayed, of each hundred missed', digits: 2 },
  ],
  peers: (all) => all.filter(({ replays }) => replays),
  variants: ({ quick }) => [
    {
      name: format(CLIENTS),
      run: async ({ client }) => {
        const times = quick ? 1 : 5
        const lastEventId = await client.preparePast(MISSED)
        const storm = { lastEventId, missed: MISSED, clients: CLIENTS }
        await client.storm({ ...storm, times: 1 })
        const stretch = await client.storm({ ...storm, times })
        const replayed = (stretch.deliveries * 100) / (MISSED * CLIENTS * times)
        const values = { ...cost(stretch.usage, CLIENTS * times), replayed }
        return [deliveriesOf(`${format(CLIENTS)} clients, ${MISSED} events behind`, stretch, values)]
      },
    },
  ],
}
