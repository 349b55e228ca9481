import { encodeReconnectionTime } from '../protocol/encode.ts'
import { parseReconnectionTime } from '../protocol/fields.ts'
import { Frame } from '../protocol/frame.ts'
import { encodeHubEvent } from '../protocol/hub-events.ts'

/** A problem with the position of a client. */
export type Fault = 'diverged' | 'unknown-epoch' | 'bad-cursor'

/** The reason for a gap. `trimmed`: the log no longer has the events. */
export type GapReason = 'trimmed' | Fault

/**
 * A reported loss: for these channels, events after the last one that the client received, up to and including `to`,
 * may be missing.
 */
export interface Gap {
  readonly reason: GapReason
  /** Channels, or patterns as they were requested. */
  readonly channels: readonly string[]
  /** The position of the stream; null if the client's position is not valid. */
  readonly from: string | null
  readonly to: string
}

/** The data of `hub.open`. */
export interface OpenData {
  readonly channels: readonly string[]
  readonly resumed: boolean
  readonly heartbeatIntervalMs: number
  readonly envelope: boolean
  /** For a rewind: the number of events, and whether a channel had earlier ones. */
  readonly rewind?: { readonly events: number; readonly earlier: boolean } | undefined
}

/** The first block of a stream. It has no id if a gap or a snapshot follows, which then carries the first one. */
export function openNotice(retryMs: number, id: string | undefined, data: OpenData): string {
  return encodeReconnectionTime(parseReconnectionTime(retryMs)) + encodeHubEvent('open', id, data)
}

/** `hasId`: false if snapshots follow, the last of which carries the id. */
export function gapNotice({ reason, channels, from, to }: Gap, hasId = true): string {
  return encodeHubEvent('gap', hasId ? to : undefined, { reason, channels, from, to })
}

export function positionFrame(id: string): Frame {
  return Frame.of(encodeHubEvent('position', id, {}))
}

/** Reports the reason for the end of a stream. No id: the client resumes where it stopped. */
export function closedFrame(reason: string, retryMs?: number): Frame {
  const retry = retryMs === undefined ? '' : encodeReconnectionTime(parseReconnectionTime(retryMs))
  return Frame.of(retry + encodeHubEvent('closed', undefined, { reason }))
}
