import type { ChannelSelection } from '../channel-name.ts'
import type { CloseReason } from '../errors.ts'

/** One subscriber: a position in the log and a set of channels. */
export interface Subscription {
  readonly id: string
  /** The `info` that `subscribe` was given, or that the router's hook returned, to identify the subscription. */
  readonly info: unknown
  /** The time of its creation. */
  readonly since: Date
  /** The channels and patterns that it was made with, and those added since. */
  readonly channels: readonly string[]
  /** Everything up to this event ID has been sent. */
  readonly position: string
  /** Whether the position of the client was accepted. Trimmed gaps may have followed anyway. */
  readonly resumed: boolean
  readonly state: 'replaying' | 'live' | 'lagging' | 'closed'

  /**
   * Adds channels or patterns, which start at the position of the stream. Resolves when the broker hands them over.
   * Rejects, with nothing changed, for invalid names and for too many of them (ERR_SSE_CHANNEL_NAME,
   * ERR_SSE_TOO_MANY_CHANNELS).
   */
  add(channels: ChannelSelection): Promise<void>

  /**
   * Removes channels or patterns, by their names in the subscription; at least one must stay
   * (ERR_SSE_CHANNEL_REQUIRED). Resolves when they are removed: a subscription that is catching up first receives their
   * outstanding events, or the gap.
   */
  remove(channels: ChannelSelection): Promise<void>

  /** Ends the subscription and its stream. Idempotent. */
  close(reason?: CloseReason): void
}

/** A subscription that never began, for a request with another answer. */
export function closedSubscription(id: string, info: unknown, now: number): Subscription {
  return {
    id,
    info,
    since: new Date(now),
    channels: [],
    position: '',
    resumed: false,
    state: 'closed',
    add: async () => {},
    remove: async () => {},
    close: () => {},
  }
}
