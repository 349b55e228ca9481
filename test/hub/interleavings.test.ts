import { describe, expect, it } from 'vitest'
import { Schedule, type Step } from './schedule.ts'

interface Case {
  readonly clients: readonly (readonly string[])[]
  /** Taken in this order, first. */
  readonly before?: readonly Step[]
  /** Taken in every order that is possible. */
  readonly steps: readonly Step[]
  readonly pageEvents?: number
}

const turn: Step = { do: 'turn' }
const confirm: Step = { do: 'confirm' }
const serve: Step = { do: 'serve' }
const deliver: Step = { do: 'deliver' }
const commit: Step = { do: 'commit' }
const close: Step = { do: 'close' }
const publish = (channel: string): Step => ({ do: 'publish', channel })
const append = (channel: string): Step => ({ do: 'append', channel })
const handOver = (count = Number.POSITIVE_INFINITY): Step => ({ do: 'hand over', count })
const of = (what: 'connect' | 'stall' | 'drain' | 'heartbeat', client = 0): Step => ({ do: what, client })
const cut = (unread = 0, client = 0): Step => ({ do: 'cut', client, unread })
/** A client that is live. */
const live = [of('connect'), confirm, turn, serve, deliver, turn]

async function start({ clients, before = [], pageEvents }: Case): Promise<Schedule> {
  const schedule = new Schedule(clients)
  if (pageEvents !== undefined) schedule.broker.pageEvents = pageEvents
  for (const step of before) await schedule.take(step)
  return schedule
}

/**
 * Runs every order of the steps, leaving out those in which a step could do nothing. Returns how many there were. Each
 * run repeats the choices of the previous one, up to the last choice that has an alternative.
 */
async function everyOrder(given: Case): Promise<number> {
  const choices: { readonly options: readonly Step[]; chosen: number }[] = []
  for (let runs = 1; ; runs++) {
    const schedule = await start(given)
    const left = [...given.steps]
    for (let depth = 0; ; depth++) {
      if (depth === choices.length) {
        const enabled = left.filter((step) => schedule.enabled(step))
        if (enabled.length === 0) break
        choices.push({ options: [...new Map(enabled.map((step) => [JSON.stringify(step), step])).values()], chosen: 0 })
      }
      const { options, chosen } = choices[depth]!
      const step = options[chosen]!
      await schedule.take(step)
      left.splice(left.indexOf(step), 1)
    }
    const problems = await schedule.finish()
    if (problems.length > 0) {
      const taken = choices.map(({ options, chosen }) => JSON.stringify(options[chosen]))
      expect.fail(`${problems.join('\n')}\nafter ${taken.join(' ')}`)
    }
    while (choices.length > 0 && choices.at(-1)!.chosen === choices.at(-1)!.options.length - 1) choices.pop()
    if (choices.length === 0) return runs
    choices.at(-1)!.chosen++
  }
}

describe('every order of register, read, publish, hand over, drain, trim and cut', () => {
  const cases: Record<string, Case> = {
    'a first subscription while events are appended and handed over': {
      clients: [['a']],
      steps: [of('connect'), confirm, serve, deliver, turn, turn, append('a'), handOver(1), append('a'), handOver(1)],
    },
    'a resume while events are appended and handed over': {
      clients: [['a', 'b']],
      before: [...live, append('a'), append('b'), handOver(), cut(1)],
      steps: [of('connect'), confirm, turn, serve, deliver, turn, append('b'), handOver(), append('a')],
    },
    'a cut at any time, with the last block unread': {
      clients: [['a', 'b']],
      before: [...live, cut(), append('b'), append('a'), append('b')],
      pageEvents: 1,
      steps: [of('connect'), confirm, serve, deliver, turn, turn, cut(1), append('a'), handOver()],
    },
    'a reader that stalls and drains while events are handed over': {
      clients: [['a']],
      before: live,
      steps: [of('stall'), append('a'), handOver(), append('a'), handOver(), of('drain'), turn, of('heartbeat')],
    },
    'a lagging reader whose events are trimmed before memory forgets them': {
      clients: [['a', 'b']],
      before: [...live, of('stall'), append('a'), handOver(), append('a'), append('b'), handOver()],
      steps: [
        of('drain'),
        { do: 'forget tail' },
        { do: 'trim', channel: 'a' },
        { do: 'trim', channel: 'a' },
        turn,
        serve,
        deliver,
        append('a'),
        handOver(),
      ],
    },
    'a resume into a trimmed log, page by page, cut in between': {
      clients: [['a', 'b']],
      before: [...live, cut(), append('a'), append('b'), append('a'), append('b'), append('a')],
      pageEvents: 2,
      steps: [
        of('connect'),
        confirm,
        turn,
        serve,
        deliver,
        turn,
        { do: 'trim', channel: 'a' },
        { do: 'trim', channel: 'a' },
        cut(1),
      ],
    },
    'a link that breaks': {
      clients: [['a']],
      before: live,
      steps: [
        append('a'),
        handOver(),
        { do: 'break link' },
        append('a'),
        handOver(),
        turn,
        serve,
        deliver,
        of('heartbeat'),
      ],
    },
    'two subscribers of one channel, one joining while the other is written to': {
      clients: [['a'], ['a']],
      before: live,
      steps: [of('connect', 1), confirm, turn, serve, deliver, turn, append('a'), handOver(), cut(0, 0)],
    },
    'publishes of the hub, their flush and commit, while a subscriber joins': {
      clients: [['a']],
      steps: [of('connect'), confirm, serve, deliver, turn, turn, publish('a'), commit, handOver(), publish('a')],
    },
    'publishes of the hub while their subscriber is cut, and it closes': {
      clients: [['a']],
      before: live,
      steps: [publish('a'), turn, commit, handOver(), of('stall'), of('drain'), cut(), close],
    },
    'a pattern and a name on one stream': {
      clients: [['a.*', 'a.x']],
      before: live,
      steps: [append('a.x'), append('a.y'), handOver(1), handOver(1), of('stall'), of('drain'), turn, cut(1)],
    },
  }
  for (const [name, given] of Object.entries(cases)) {
    it(name, { timeout: 120_000 }, async () => {
      const runs = await everyOrder(given)
      expect(runs).toBeGreaterThan(20)
    })
  }
})
