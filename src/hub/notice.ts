import { encodeReconnectionTime } from '../protocol/encode.ts'
import { parseReconnectionTime } from '../protocol/fields.ts'
import { Frame } from '../protocol/frame.ts'
import { encodeHubEvent } from '../protocol/hub-events.ts'

/** What can be wrong with the position that a client comes with. */
export type Fault = 'diverged' | 'unknown-epoch' | 'bad-cursor'

/** Why something is missing. `trimmed`: the log no longer has it. */
export type GapReason = 'trimmed' | Fault

/**
 * A told loss: of these channels, what was published after the last event of theirs that was received, and up to `to`,
 * may be missing.
 */
export interface Gap {
  readonly reason: GapReason
  /** Channels, or patterns as they were asked for. */
  readonly channels: readonly string[]
  /** Where the stream stood; null when its position made no sense. */
  readonly from: string | null
  readonly to: string
}

/** The data of `hub.open`. */
export interface OpenData {
  readonly channels: readonly string[]
  readonly resumed: boolean
  readonly heartbeatIntervalMs: number
  readonly envelope: boolean
  /** With a rewind page: how many events it has, and whether there were earlier ones. */
  readonly rewind?: { readonly events: number; readonly earlier: boolean } | undefined
}

/** The first block of a stream. Without an id when a gap follows that carries the first one. */
export function openNotice(retryMs: number, id: string | undefined, data: OpenData): string {
  return encodeReconnectionTime(parseReconnectionTime(retryMs)) + encodeHubEvent('open', id, data)
}

export function gapNotice({ reason, channels, from, to }: Gap): string {
  return encodeHubEvent('gap', to, { reason, channels, from, to })
}

export function positionFrame(id: string): Frame {
  return Frame.of(encodeHubEvent('position', id, {}))
}

/** Says why a stream ends. No id: where it stopped is where it goes on. */
export function closedFrame(reason: string, retryMs?: number): Frame {
  const retry = retryMs === undefined ? '' : encodeReconnectionTime(parseReconnectionTime(retryMs))
  return Frame.of(retry + encodeHubEvent('closed', undefined, { reason }))
}
