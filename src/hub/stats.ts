import type { CloseReason } from '../errors.ts'
import type { Fault, GapReason } from './notice.ts'

/**
 * The start of a subscription: at the end of the log, where it had stopped, or with a gap because that was impossible.
 */
export type Beginning = 'new' | 'resumed' | Fault

/** The current state. */
export interface LiveStats {
  /** Streams that have begun. */
  streams: number
  /** The same, including those that are about to begin. */
  subscriptions: number
  /** Different channels and patterns with a subscription. */
  channels: number
  /** Bytes that wait in memory for slow peers. */
  bufferedBytes: number
}

/** The totals since the hub was made. */
export interface CountedStats {
  /** Events published here, duplicates not counted. */
  published: number
  /** Events written, once for each subscription. */
  delivered: number
  /** Subscriptions by the way they began. */
  resumed: Record<Beginning, number>
  /** Gaps that were reported, by reason. */
  gaps: Record<GapReason, number>
  /** The number of times that a live subscriber fell behind. */
  lagged: number
  /** Open subscriptions that ended, by reason. */
  closes: Record<CloseReason, number>
}

/** A snapshot of a hub. A plain object: changing it has no effect. */
export type HubStats = LiveStats & CountedStats

export function emptyStats(): CountedStats {
  return {
    published: 0,
    delivered: 0,
    resumed: { new: 0, resumed: 0, diverged: 0, 'unknown-epoch': 0, 'bad-cursor': 0 },
    gaps: { trimmed: 0, diverged: 0, 'unknown-epoch': 0, 'bad-cursor': 0 },
    lagged: 0,
    closes: { client: 0, server: 0, slow: 0, expired: 0, revoked: 0, shutdown: 0, error: 0 },
  }
}
