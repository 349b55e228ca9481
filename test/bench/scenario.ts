import type { LoadClient } from './load/client.ts'
import type { Usage } from './load/meter.ts'
import type { Faults } from './load/tally.ts'
import type { Peer } from './peers.ts'
import type { Remote, Server } from './rig.ts'

/** How much time there is. */
export interface Mode {
  readonly quick: boolean
  /** Before each measured stretch. */
  readonly warmMs: number
  /** Before that, for POSTs alone. */
  readonly warmPostsMs: number
  readonly measureMs: number
  /** For all subscribers of a run to connect. */
  readonly connectMs: number
  /** Streams that a process can have, by its limit of open files. */
  readonly maxStreams: number
}

/** One server and one load client, both fresh. */
export interface Bench {
  readonly peer: Peer
  readonly server: Server
  readonly client: Remote<LoadClient>
  readonly mode: Mode
}

export interface Column {
  readonly key: string
  readonly title: string
  readonly digits: number
}

/** What one run says about one row of one table. */
export interface Figures {
  /** The title of the table, such as `1,000 subscribers, 16 in flight`. */
  readonly table: string
  readonly values: Readonly<Record<string, number>>
  readonly faults?: Faults
  readonly foreignCores: number
  readonly note?: string
}

/** What is run with one pair of processes. */
export interface Variant {
  readonly name: string
  /** Of node. */
  readonly flags?: readonly string[]
  /** Bytes of the data of an event: 150 if nothing is said. */
  readonly size?: number
  run(bench: Bench): Promise<readonly Figures[]>
}

export interface Scenario {
  readonly name: string
  readonly title: string
  /** The procedure and the meaning of the figures, for the reader of the report. */
  readonly about: string
  /** The first one is compared: less is better. */
  readonly columns: readonly Column[]
  /** Repeats agree within a few hundredths, so one round is enough. */
  readonly isSteady?: boolean
  /** Those of all servers that take part. */
  peers(all: readonly Peer[]): readonly Peer[]
  variants(mode: Mode): readonly Variant[]
}

/** A server cannot perform a scenario. The report notes it, and the server is not tried again. */
export class Unable extends Error {}

/** The code that takes a POST is compiled first: with many subscribers there are few of them in a measured stretch. */
export async function warmPosts({ client, mode }: Bench): Promise<void> {
  await client.connect(1)
  await client.post({ window: 4, warmMs: 0, ms: mode.warmPostsMs, events: 5_000 })
  await client.disconnect()
}

export async function connectAll({ client, mode }: Bench, count: number, channels = 1): Promise<Usage> {
  const { connected, usage } = await client.connect(count, channels, mode.connectMs)
  if (connected === count) return usage
  throw new Unable(`${format(connected)} of ${format(count)} connected within ${mode.connectMs / 1_000} s`)
}

export function format(n: number): string {
  return n.toLocaleString('en-US')
}

/** CPU time of the server by activity, in µs. */
export function cost({ userUs, kernelUs, wallMs }: Usage, times: number) {
  return {
    cpu: (userUs + kernelUs) / times,
    user: userUs / times,
    kernel: kernelUs / times,
    rate: (times / wallMs) * 1_000,
  }
}

/** The columns of `cost`. */
export function costColumns(one: string, many: string): readonly Column[] {
  return [
    { key: 'cpu', title: `CPU µs per ${one}`, digits: 2 },
    { key: 'user', title: 'user', digits: 2 },
    { key: 'kernel', title: 'kernel', digits: 2 },
    { key: 'rate', title: `${many}/s`, digits: 0 },
  ]
}
