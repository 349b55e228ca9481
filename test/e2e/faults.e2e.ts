import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { check } from '../faults/checkers.ts'
import { Publisher } from '../faults/publisher.ts'
import { readAll } from '../faults/run.ts'
import type { Seen, Subscription } from '../faults/story.ts'
import { randomOf } from '../support/random.ts'
import { type Kind, Rig, type Tab } from './rig.ts'

const SEED = Number(process.env['E2E_SEED'] ?? Math.floor(Math.random() * 1e6))
const FAULTS = Number(process.env['E2E_FAULTS'] ?? 100)
const CHANNELS = ['a', 'b', 'c.d']
const SHARING = 10

interface Fault {
  readonly name: string
  strike(rig: Rig, random: () => number): Promise<void>
}

const cut: Fault = {
  name: 'cut',
  async strike({ proxy }) {
    proxy.cut()
  },
}
/** The network is gone, and the browser reports it only later. */
const stall: Fault = {
  name: 'stall',
  async strike({ proxy }, random) {
    proxy.stall()
    await sleep(random() * 2_500)
    proxy.cut('stalled')
  },
}
/** The same, and then everything comes at once. */
const hold: Fault = {
  name: 'stall that passes',
  async strike({ proxy }, random) {
    proxy.hold()
    await sleep(random() * 1_000)
    proxy.flow()
  },
}
const kill: Fault = {
  name: 'kill',
  async strike({ hub }, random) {
    await hub.kill()
    await sleep(random() * 300)
    await hub.start()
  },
}
const CHOICE = [cut, cut, cut, stall, hold, kill, kill]

/** The events that a tab received, for the checkers. */
async function subscriptionOf(tab: Tab, name: string): Promise<Subscription> {
  const seen = (await tab.told()).filter(({ what }) => ['open', 'event', 'gap', 'cut'].includes(what)) as Seen[]
  return { name, channels: CHANNELS, seen }
}

it(`hears everything once and in order through ${FAULTS} faults`, { timeout: 900_000 }, async () => {
  const random = randomOf(SEED)
  // The load has its own random numbers: the moment of each depends on time.
  const randomLoad = randomOf(SEED + 1)
  const begun = performance.now()
  await using rig = await Rig.start()
  const { hub } = rig
  let struck = 0
  const host = {
    get url() {
      return hub.url
    },
    get faults() {
      return struck
    },
    random: randomLoad,
    channels: CHANNELS,
    pauseMs: 50,
  }
  const publishers = ['p0', 'p1', 'p2'].map((name) => new Publisher(host, name))
  const probe = new Publisher(host, 'probe')

  const context = await rig.browser.newContext()
  const tabs: Tab[] = []
  const names: Kind[] = []
  for (const kind of ['native', 'client', ...Array<Kind>(SHARING).fill('shared')] as const) {
    // Those that share are alone in their browser, so that their connection can be counted.
    const tab = await rig.open(undefined, kind === 'shared' ? context : undefined)
    await tab.listen({ kind, channels: CHANNELS })
    await tab.until(`count('open') > 0`)
    tabs.push(tab)
    names.push(kind)
  }
  expect(await rig.control('streams', 'GET')).toBe(3)
  const [first] = (await tabs[0]!.told()).flatMap((one) => (one.what === 'open' ? [one.id] : []))

  /** A new event reaches every tab. */
  const reachEverybody = async (after: string) => {
    const { uid } = await probe.publish(CHANNELS[Math.floor(randomLoad() * CHANNELS.length)]!)
    await Promise.all(
      tabs.map((tab, i) =>
        tab.until(`has('${uid}')`).catch((error) => {
          throw new Error(`${names[i]} ${i}, seed ${SEED}, after fault ${struck}, ${after}: ${error.message}`)
        }),
      ),
    )
  }

  const counts: Record<string, number> = {}
  for (const publisher of publishers) publisher.start()
  try {
    while (struck < FAULTS) {
      await sleep(random() * 200)
      const fault = CHOICE[Math.floor(random() * CHOICE.length)]!
      await fault.strike(rig, random)
      counts[fault.name] = (counts[fault.name] ?? 0) + 1
      struck++
      // Sometimes the next one comes before every tab has reconnected.
      if (random() < 0.8) await reachEverybody(fault.name)
    }
  } finally {
    await Promise.all(publishers.map((publisher) => publisher.finish()))
  }
  await reachEverybody('the end')

  const log = await readAll(hub.url, first!, probe)
  const subscriptions = await Promise.all(tabs.map((tab, i) => subscriptionOf(tab, `${names[i]} ${i}`)))
  const publications = [...publishers, probe].flatMap((publisher) => publisher.publications)
  expect(check({ log, publications, subscriptions, lossy: false }), `seed ${SEED}`).toEqual([])
  // The same again, and simpler: every tab was connected from the beginning to the end.
  const uids = log.map(({ uid }) => uid)
  expect(log).toHaveLength(publications.length)
  for (const tab of tabs) {
    expect(await tab.heard()).toEqual(uids)
    expect(tab.errors).toEqual([])
  }
  expect(await rig.control('streams', 'GET')).toBe(3)

  const opened = await Promise.all(tabs.slice(0, 3).map((tab) => tab.count('open')))
  process.stdout.write(
    `E2E_SEED=${SEED}: ${struck} faults (${JSON.stringify(counts)}), ${log.length} events, each heard once and in order ` +
      `in ${tabs.length} tabs, no gap; connections: native ${opened[0]}, client ${opened[1]}, shared ${opened[2]}; ` +
      `${Math.round((performance.now() - begun) / 1_000)} s\n`,
  )
  await context.close()
})
process.stdout.write(`E2E_SEED=${SEED} E2E_FAULTS=${FAULTS}\n`)
