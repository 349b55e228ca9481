import type { CloseReason, SseError } from '../errors.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { Frame } from '../protocol/frame.ts'
import type { HubEnvironment } from './environment.ts'
import type { Gap } from './notice.ts'
import type { Beginning } from './stats.ts'

/** A hub as its subscriptions see it: the parts they work with, and the observer they report to. */
export interface SubscriptionHost<Subscription> extends HubEnvironment {
  /** Throws ERR_SSE_CHANNEL_REQUIRED without names, and ERR_SSE_TOO_MANY_CHANNELS. */
  assertSelection(names: readonly string[]): void
  /** The position of the hub as a frame, made once for all streams. */
  positionFrame(): Frame
  /** The last frame of a stream that ends for this reason. */
  farewell(reason: CloseReason): Frame | undefined
  /** The subscription waits until the position of the hub reaches its own. */
  park(subscription: Subscription, position: Cursor): void
  /** Calls `fn` now, or after the fan-out in progress: a row does not change in the middle of one. */
  betweenFanOuts(fn: () => void): void

  opened(subscription: Subscription, beginning: Beginning): void
  closed(subscription: Subscription, reason: CloseReason, wasOpen: boolean): void
  told(subscription: Subscription, gap: Gap): void
  delivered(events: number): void
  lagging(subscription: Subscription): void
  /** `refusal`: the error that the caller gets for this failure. It is not reported again. */
  failed(error: unknown, context?: { refusal?: SseError }): void
}
