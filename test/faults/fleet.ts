import { expect } from 'vitest'
import { type CuttingProxy, cuttingProxy } from '../support/cutting-proxy.ts'
import { randomOf } from '../support/random.ts'
import { RedisServer } from '../support/redis-server.ts'
import { check } from './checkers.ts'
import { HubProcess } from './hub-process.ts'
import { Publisher } from './publisher.ts'
import { CHANNELS, reachEverybody, readAll } from './run.ts'
import { Subscriber } from './subscriber.ts'

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** One process of a hub, with its own way to the server. */
export interface FleetNode {
  readonly hub: HubProcess
  readonly proxy: CuttingProxy
}

/** What a fault of a fleet has to do with. */
export interface FleetTarget {
  readonly server: RedisServer
  readonly nodes: readonly FleetNode[]
  readonly random: () => number
  /** One of the nodes. */
  any(): FleetNode
}

export interface FleetFault {
  readonly name: string
  /** Whether it removes acknowledged events. */
  readonly lossy: boolean
  /** As on the command line of the server. */
  readonly server?: readonly string[]
  /** Resolves when the fleet could be whole again. */
  strike(target: FleetTarget): Promise<void>
}

interface FleetPlan {
  readonly seed: number
  readonly faults: readonly FleetFault[]
  readonly nodes?: number
  readonly loadMs?: number
}

/**
 * Runs nodes in processes of their own on one server, publishers with and without keys, and subscribers that reconnect
 * to another node each time; and one fault after the other. Gives how many events the log had at the end.
 */
export async function tryFleet({ seed, faults, nodes: count = 3, loadMs = 300 }: FleetPlan): Promise<number> {
  const random = randomOf(seed)
  const server = await RedisServer.start(...new Set(faults.flatMap((fault) => fault.server ?? [])))
  const nodes: FleetNode[] = []
  const subscribers: Subscriber[] = []
  try {
    await Promise.all(
      Array.from({ length: count }, async () => {
        const proxy = await cuttingProxy(server.port)
        const hub = new HubProcess(proxy.url.replace('http', 'redis'))
        nodes.push({ hub, proxy })
        await hub.start()
      }),
    )
    const any = () => nodes[Math.floor(random() * nodes.length)]!
    const url = () => any().hub.url
    let struck = 0
    const host = {
      get url() {
        return url()
      },
      get faults() {
        return struck
      },
      random,
      channels: CHANNELS,
    }
    const keyless = Object.create(host, { keyless: { value: true } }) as typeof host
    const publishers = Array.from({ length: 6 }, (_, i) => new Publisher(i % 2 === 0 ? host : keyless, `p${i}`))
    const probe = new Publisher(host, 'probe')
    subscribers.push(
      ...CHANNELS.map((channel) => new Subscriber(url, `on ${channel}`, [channel])),
      ...[1, 2].map((i) => new Subscriber(url, `on all ${i}`, CHANNELS)),
      new Subscriber(url, 'on a pattern', CHANNELS, ['>']),
      new Subscriber(url, 'on names and patterns', CHANNELS, ['a', 'b', 'c.*']),
    )
    for (const subscriber of subscribers) subscriber.start()
    await Promise.all(subscribers.map((each) => each.until(() => each.opened > 0, 'a connection')))
    for (const publisher of publishers) publisher.start()
    for (const fault of faults) {
      await sleep(loadMs * (0.5 + random()))
      await fault.strike({ server, nodes, random, any })
      struck++
      await reachEverybody(probe, subscribers, fault.name)
    }
    await Promise.all(publishers.map((publisher) => publisher.finish()))
    await reachEverybody(probe, subscribers, 'the end')
    const epoch = probe.publications.at(-1)!.id!.split('.')[0]
    const log = await readAll(url(), `${epoch}.0`, probe)
    const lossy = faults.some((fault) => fault.lossy)
    const publications = [...publishers, probe].flatMap((each) => each.publications)
    expect(check({ log, publications, subscriptions: subscribers, lossy }), `seed ${seed}`).toEqual([])
    return log.length
  } finally {
    await Promise.all(subscribers.map((subscriber) => subscriber.stop()))
    await Promise.all(nodes.map(({ hub }) => hub[Symbol.asyncDispose]()))
    server.signal('SIGCONT')
    await server.stop()
    await Promise.all(nodes.map(({ proxy }) => proxy.close()))
  }
}
