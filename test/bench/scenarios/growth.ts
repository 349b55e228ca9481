import { growingHub, hub } from '../peers.ts'
import { type Figures, format, type Scenario, type Variant } from '../scenario.ts'
import { ask } from './ask.ts'

const PUBLISH = { key: 'cpu', title: 'CPU µs each', digits: 2 }

interface Step {
  readonly what: string
  readonly title: string
  readonly counts: readonly number[]
}

/** What is measured, how its tables are called, and how much there is of it. */
const STEPS: readonly Step[] = [
  { what: 'channels', title: 'publish, with N other channels that are listened to', counts: [10, 1_000, 100_000] },
  { what: 'patterns', title: 'publish, with N patterns that do not match', counts: [10, 1_000, 100_000] },
  { what: 'kept', title: 'publish, with N other channels in the log', counts: [10, 1_000, 100_000] },
  { what: 'matching', title: 'publish, to N channels each heard through one of N patterns', counts: [1, 1_000] },
  { what: 'replay', title: 'replay of 100 events, with N others between them', counts: [1_000, 10_000, 100_000] },
]

function step({ what, title, counts }: Step, quick: boolean): Variant {
  return {
    name: what,
    run: async ({ server }) => {
      const times = quick ? 0.2 : 1
      const figures: Figures[] = []
      await ask(server, what, { count: counts[0]!, times })
      // From few to many: the many leave timers behind.
      for (const count of quick ? counts.slice(1, 2) : counts) {
        const table = `${title}: N = ${format(count)}`
        figures.push({ table, values: await ask(server, what, { count, times }), foreignCores: Number.NaN })
      }
      return figures
    },
  }
}

export const growth: Scenario = {
  name: 'growth',
  title: 'What more in the hub costs',
  about:
    'Only this library, in one process and without a network: streams go nowhere. CPU time of one publish with one subscriber, 16 per turn of the loop, and of one replay.',
  columns: [PUBLISH, { key: 'user', title: 'user', digits: 2 }, { key: 'kernel', title: 'kernel', digits: 2 }],
  isSteady: true,
  peers: (all) => (all.includes(hub) ? [growingHub] : []),
  variants: ({ quick }) => STEPS.map((each) => step(each, quick)),
}
