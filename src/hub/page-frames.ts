import { isLoss, type Page } from '../broker/broker.ts'
import { formatCursor } from '../protocol/cursor.ts'
import { Frame, type FrameForm } from '../protocol/frame.ts'
import type { FollowedPage } from './follower.ts'
import { type Gap, gapNotice, type OpenData, openNotice } from './notice.ts'
import { replayOf } from './replay.ts'
import type { Subscriber } from './subscriber.ts'

/** A page in its form for a stream: the notices before its items, and the items. */
export interface PageFrames {
  readonly frames: readonly Frame[]
  readonly bytes: number
  readonly events: number
  readonly gaps: readonly Gap[]
}

/** `names`: the channels of the subscription. `open`: only for the first page. */
export function pageFrames(
  next: FollowedPage,
  form: FrameForm,
  names: readonly string[],
  open?: { readonly stream: Pick<Subscriber, 'heartbeatIntervalMs' | 'retryMs'>; readonly resumed: boolean },
): PageFrames {
  const { page, status, from, isRewind } = next
  const to = formatCursor(page.from)
  const gaps: Gap[] = []
  let notices = ''
  if (open !== undefined) {
    const rewind = isRewind ? rewindOf(page) : undefined
    const { resumed, stream } = open
    const { heartbeatIntervalMs } = stream
    const data = { channels: names, resumed, heartbeatIntervalMs, envelope: form === 'envelope', rewind }
    // With an id here, a cut before the gap would resume without reporting it.
    const id = status === 'ok' ? to : undefined
    notices += openNotice(stream.retryMs, id, data)
  }
  if (status !== 'ok') {
    const gap: Gap = { reason: status, channels: names, from: status === 'bad-cursor' ? null : from, to }
    notices += gapNotice(gap)
    gaps.push(gap)
  }
  const replay = replayOf(page, form, from)
  gaps.push(...replay.gaps)
  const frames: Frame[] = []
  if (notices !== '') frames.push(Frame.of(notices))
  if (replay.frame !== undefined) frames.push(replay.frame)
  const bytes = frames.reduce((sum, frame) => sum + frame.length, 0)
  return { frames, bytes, events: replay.events, gaps }
}

/** The number of events of a rewind page, and whether a channel had earlier ones. */
function rewindOf({ items }: Page): OpenData['rewind'] {
  const seen = new Set<string>()
  let earlier = false
  for (const item of items) {
    if (isLoss(item) || seen.has(item.channel)) continue
    seen.add(item.channel)
    earlier ||= item.prev > 0
  }
  return { events: items.length, earlier }
}
