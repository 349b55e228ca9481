import type { CloseReason } from '../errors.ts'
import type { Fault, GapReason } from './notice.ts'

/** How a subscription began: at the end of the log, where it had stopped, or with a gap because it could not. */
export type Beginning = 'new' | 'resumed' | Fault

/** What is there now. */
export interface LiveStats {
  /** Streams that have begun. */
  streams: number
  /** The same and those that are about to begin. */
  subscriptions: number
  /** Different channels and patterns that somebody listens to. */
  channels: number
  /** Bytes that wait in memory for slow peers. */
  bufferedBytes: number
}

/** What has happened since the hub was made. */
export interface CountedStats {
  /** Events published here, duplicates not counted. */
  published: number
  /** Events written, once for each subscription. */
  delivered: number
  /** How subscriptions began. */
  resumed: Record<Beginning, number>
  /** Gaps that were told. */
  gaps: Record<GapReason, number>
  /** How often a live subscriber fell behind. */
  lagged: number
  /** How open subscriptions ended. */
  closes: Record<CloseReason, number>
}

/** A snapshot of a hub. A plain object: changing it changes nothing. */
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
