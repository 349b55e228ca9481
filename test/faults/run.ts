import { setTimeout as sleep } from 'node:timers/promises'
import { randomOf } from '../support/random.ts'
import { HubProcess } from './hub-process.ts'
import type { Nemesis, Target } from './nemesis.ts'
import { Publisher } from './publisher.ts'
import type { LogEntry, Story } from './story.ts'
import { Subscriber } from './subscriber.ts'

export const CHANNELS = ['a', 'b', 'c.d'] as const
const PUBLISHERS = 8

export interface Plan {
  /** As the demo's HUB_BROKER. */
  readonly broker: string
  readonly seed: number
  /** One after the other. */
  readonly faults: readonly Nemesis[]
  /** How long the load runs before each of them. */
  readonly loadMs: number
}

/**
 * Runs a hub in a separate process, with publishers and subscribers, and one fault after the other. After each fault,
 * an event on each channel must reach every subscriber. Returns the whole story.
 */
export async function run({ broker, seed, faults, loadMs }: Plan): Promise<Story> {
  const random = randomOf(seed)
  await using hub = new HubProcess(broker)
  await hub.start()
  let struck = 0
  const host = {
    get url() {
      return hub.url
    },
    get faults() {
      return struck
    },
    random,
    channels: CHANNELS,
  }
  const publishers = Array.from({ length: PUBLISHERS }, (_, i) => new Publisher(host, `p${i}`))
  const probe = new Publisher(host, 'probe')
  const subscribers = [
    ...CHANNELS.map((channel) => new Subscriber(() => hub.url, `on ${channel}`, [channel])),
    ...[1, 2, 3].map((i) => new Subscriber(() => hub.url, `on all ${i}`, CHANNELS)),
  ]
  const everybody = [...publishers, probe]
  const target: Target = {
    hub,
    random,
    publishers,
    subscribers,
    load: (ms) => sleep(ms),
    async reconnected(since) {
      await Promise.all(subscribers.map((each, i) => each.until(() => each.opened > since[i]!, 'a new connection')))
    },
  }
  try {
    for (const subscriber of subscribers) subscriber.start()
    await target.reconnected(subscribers.map(() => 0))
    const start = subscribers[0]!.lastEventId
    for (const publisher of publishers) publisher.start()
    for (const fault of faults) {
      await sleep(loadMs * (0.5 + random()))
      await fault.strike(target)
      struck++
      await reachEverybody(probe, subscribers, fault.name)
    }
    await Promise.all(publishers.map((publisher) => publisher.finish()))
    await reachEverybody(probe, subscribers, 'the end')
    const log = await readAll(hub.url, start, probe)
    return {
      log,
      publications: everybody.flatMap(({ publications }) => publications),
      subscriptions: subscribers,
      lossy: faults.some(({ lossy }) => lossy),
    }
  } finally {
    await Promise.all(subscribers.map((subscriber) => subscriber.stop()))
  }
}

/** Liveness: a new event reaches every listener, or, after a gap, the next one does. */
export async function reachEverybody(
  probe: Publisher,
  subscribers: readonly Subscriber[],
  after: string,
): Promise<void> {
  for (const channel of CHANNELS) {
    const listeners = subscribers.filter(({ channels }) => channels.includes(channel))
    let reached = false
    while (!reached) {
      const before = listeners.map(({ seen }) => seen.length)
      const { uid, id } = await probe.publish(channel)
      await Promise.all(
        listeners.map((each, i) =>
          each.until(() => each.has(uid) || each.wasTold(id!, before[i]!), `${uid} (${id}), published after ${after}`),
        ),
      )
      reached = listeners.every((each) => each.has(uid))
    }
  }
}

/** The log from a position to its end, as a late client reads it. */
export async function readAll(url: string, from: string, probe: Publisher): Promise<LogEntry[]> {
  const reader = new Subscriber(() => url, 'the reader of the log', CHANNELS)
  reader.lastEventId = from
  const last = probe.publications.at(-1)!.uid
  reader.start()
  try {
    await reader.until(() => reader.has(last), 'the end of the log')
  } finally {
    await reader.stop()
  }
  return reader.seen.flatMap((item) => {
    if (item.what === 'gap') throw new Error(`The log is not whole: ${JSON.stringify(item)}`)
    if (item.what !== 'event') return []
    return [{ seq: Number.parseInt(item.id.split('.')[1]!, 36), channel: item.channel, uid: item.uid }]
  })
}
