import type { Broker } from '../broker/broker.ts'
import type { ChannelDirectory } from './channel.ts'
import type { LogTail } from './log-tail.ts'
import type { ResolvedHubOptions } from './options.ts'
import type { Pump } from './pump.ts'
import type { Reads } from './reads.ts'
import type { SnapshotSource } from './snapshot-source.ts'

/** The parts of a hub that its subscriptions and readers work with. */
export interface HubEnvironment {
  readonly broker: Broker
  /** Resolves when the broker has started. */
  readonly ready: Promise<void>
  readonly tail: LogTail
  readonly directory: ChannelDirectory
  readonly reads: Reads
  readonly pump: Pump
  readonly options: ResolvedHubOptions
  /** Present where a channel has a snapshot function. */
  readonly snapshots: SnapshotSource | undefined
}
