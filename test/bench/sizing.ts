import { pathToFileURL } from 'node:url'

// How large a fleet one Redis carries, and what is the first to break: npx tsx test/bench/sizing.ts [events/s] [streams]
// The costs are CPU times of one core, measured on loopback; give your own where they differ.

/** CPU in microseconds, and memory in bytes. */
export const COSTS = {
  /** Redis: append one event of 250 bytes, in batches of 128. */
  append: 10,
  /** Redis: send a message to one more node. */
  message: 1,
  /** Redis: the probe and the trim of one node, each second. */
  probe: 300,
  /** Redis: one resume of 200 events. */
  resume: 350,
  /** A node: hear an event, and write it to one stream. */
  hear: 8,
  deliver: 6,
  /** A node: memory of an idle stream. Redis: memory of a kept event of 250 bytes. */
  streamBytes: 12_000,
  eventBytes: 310,
} as const

export interface Load {
  readonly eventsPerSecond: number
  readonly streams: number
  /** Streams that a node is given, and the share of the nodes that listen to the channel of an event. */
  readonly streamsPerNode?: number
  readonly share?: number
  /** Streams that hear one event, on average. */
  readonly hearers?: number
  /** How long a stream lasts, in seconds; each ends with a resume. */
  readonly lifeSeconds?: number
}

export interface Size {
  readonly nodes: number
  /** Shares of one core of Redis, by what they are for. */
  readonly redis: Readonly<Record<'append' | 'messages' | 'probes' | 'resumes', number>>
  /** Partitions, each a Redis of its own, at half a core each. */
  readonly partitions: number
  /** Share of one core of each node. */
  readonly nodeCore: number
  /** What breaks first when the load grows. */
  readonly first: string
}

/** What a load takes. */
export function sizeOf(load: Load): Size {
  const { eventsPerSecond, streams, streamsPerNode = 20_000, share = 1, hearers = 1, lifeSeconds = 600 } = load
  const nodes = Math.max(1, Math.ceil(streams / streamsPerNode))
  const listening = Math.max(1, nodes * share)
  const redis = {
    append: (eventsPerSecond * COSTS.append) / 1e6,
    messages: (eventsPerSecond * listening * COSTS.message) / 1e6,
    probes: (nodes * COSTS.probe) / 1e6,
    resumes: ((streams / lifeSeconds) * COSTS.resume) / 1e6,
  }
  const total = Object.values(redis).reduce((sum, one) => sum + one, 0)
  const heard = (eventsPerSecond * listening) / nodes
  const nodeCore = (heard * COSTS.hear + (eventsPerSecond * hearers * COSTS.deliver) / nodes) / 1e6
  const [largest] = Object.entries(redis).sort(([, a], [, b]) => b - a)
  const first =
    nodeCore > total ? 'the CPU of the nodes: add nodes' : `the core of Redis (${largest![0]}): add partitions`
  return { nodes, redis, partitions: Math.max(1, Math.ceil(total / 0.5)), nodeCore, first }
}

function row(name: string, load: Load): string {
  const { nodes, redis, partitions, nodeCore, first } = sizeOf(load)
  const cores = Object.entries(redis).map(([what, share]) => `${what} ${share.toFixed(2)}`)
  return [
    `${name}: ${load.eventsPerSecond.toLocaleString('en')} events/s, ${load.streams.toLocaleString('en')} streams`,
    `  nodes ${nodes}, each ${nodeCore.toFixed(2)} cores; Redis: ${cores.join(', ')} cores`,
    `  partitions by hash tag, one cursor part for each that a stream touches: ${partitions}`,
    `  breaks first: ${first}`,
  ].join('\n')
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const [events, streams] = process.argv.slice(2).map(Number)
  const loads: [string, Load][] =
    events !== undefined
      ? [['Yours', { eventsPerSecond: events, streams: streams ?? 20_000 }]]
      : [
          ['One Redis', { eventsPerSecond: 10_000, streams: 100_000, share: 0.5 }],
          ['1 million streams, each user a channel', { eventsPerSecond: 20_000, streams: 1_000_000, share: 0.02 }],
          ['1 million streams, one channel for all', { eventsPerSecond: 10, streams: 1_000_000, hearers: 1_000_000 }],
          ['10 million streams, each user a channel', { eventsPerSecond: 200_000, streams: 10_000_000, share: 0.002 }],
          [
            '10 million streams, one channel for all',
            { eventsPerSecond: 10, streams: 10_000_000, hearers: 10_000_000 },
          ],
        ]
  process.stdout.write(`${loads.map(([name, load]) => row(name, load)).join('\n\n')}\n`)
}
