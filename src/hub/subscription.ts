import type { ChannelSelection } from '../channel-name.ts'
import type { CloseReason } from '../errors.ts'

/** One subscriber: a position in the log and a set of channels. */
export interface Subscription {
  readonly id: string
  /** The `info` that `subscribe` was given, or that the router's hook returned: to recognise the subscription by. */
  readonly info: unknown
  /** When it was made. */
  readonly since: Date
  /** The channels and patterns it was made with, and those added since. */
  readonly channels: readonly string[]
  /** Everything up to this event ID has been sent. */
  readonly position: string
  /** Whether the position it came with was accepted. Trimmed gaps may have followed nevertheless. */
  readonly resumed: boolean
  readonly state: 'replaying' | 'live' | 'lagging' | 'closed'

  /**
   * Adds channels or patterns, which start at the position of the stream. Resolves when the broker hands them over;
   * rejects, with nothing changed, for bad names and too many of them (ERR_SSE_CHANNEL_NAME, ERR_SSE_TOO_MANY_CHANNELS).
   */
  add(channels: ChannelSelection): Promise<void>

  /**
   * Removes channels or patterns, as they were asked for; at least one stays (ERR_SSE_CHANNEL_REQUIRED). Resolves when
   * they are gone: a subscription that is catching up first receives what it still lacks of them, or the gap.
   */
  remove(channels: ChannelSelection): Promise<void>

  /** Ends the subscription and its stream. Idempotent. */
  close(reason?: CloseReason): void
}

/** A subscription that never began, for a request that was answered otherwise. */
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
