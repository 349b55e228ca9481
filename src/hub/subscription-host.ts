import type { Broker } from '../broker/broker.ts'
import type { CloseReason, SseError } from '../errors.ts'
import type { Frame } from '../protocol/frame.ts'
import type { ChannelDirectory } from './channel.ts'
import type { LogTail } from './log-tail.ts'
import type { Gap } from './notice.ts'
import type { ResolvedHubOptions } from './options.ts'
import type { Pump } from './pump.ts'
import type { Reads } from './reads.ts'
import type { Beginning } from './stats.ts'

/** What a subscription needs of its hub, and tells it. */
export interface SubscriptionHost<Subscription> {
  readonly broker: Broker
  readonly tail: LogTail
  /** Resolves when the broker is up. */
  readonly ready: Promise<void>
  readonly directory: ChannelDirectory
  readonly pump: Pump
  readonly reads: Reads
  readonly options: ResolvedHubOptions
  /** Throws when there are no names, or too many. */
  assertSelection(names: readonly string[]): void
  /** The hub's position as a frame, made once for all. */
  positionFrame(): Frame
  farewell(reason: CloseReason): Frame | undefined
  opened(subscription: Subscription, beginning: Beginning): void
  closed(subscription: Subscription, reason: CloseReason, wasOpen: boolean): void
  told(subscription: Subscription, gap: Gap): void
  replayed(events: number): void
  lagging(subscription: Subscription): void
  /** Parked until the hub's position reaches that of the subscription. */
  park(subscription: Subscription): void
  /** `refusal`: what the failure becomes for the caller. It is not reported again. */
  failed(error: unknown, context?: { refusal?: SseError }): void
  /** Runs `fn` now, or after the fan-out that is under way: nobody enters or leaves a row in the middle of one. */
  betweenFanOuts(fn: () => void): void
}
