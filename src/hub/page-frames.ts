import { isLoss, type Page } from '../broker/broker.ts'
import { formatCursor } from '../protocol/cursor.ts'
import { Frame, type FrameForm } from '../protocol/frame.ts'
import { encodeHubEvent } from '../protocol/hub-events.ts'
import type { Due, Taken } from './due-snapshots.ts'
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

/** The parts of a subscription that its first page, and its gaps, name. */
export interface Beginning {
  readonly form: FrameForm
  readonly channels: readonly string[]
  /** With the first page only. */
  readonly open?: OpenHead | undefined
}

export interface OpenHead {
  readonly stream: Pick<Subscriber, 'heartbeatIntervalMs' | 'retryMs'>
  readonly resumed: boolean
}

export function pageFrames(next: FollowedPage, of: Beginning): PageFrames {
  const { page, status, from } = next
  const to = formatCursor(page.from)
  const gaps: Gap[] = []
  // With an id here, a cut before the gap would resume without reporting it.
  let notices = openText(next, of, status === 'ok' ? to : undefined)
  if (status !== 'ok') {
    const gap: Gap = { reason: status, channels: of.channels, from: status === 'bad-cursor' ? null : from, to }
    notices += gapNotice(gap)
    gaps.push(gap)
  }
  const replay = replayOf(page, of.form, from)
  gaps.push(...replay.gaps)
  const frames: Frame[] = []
  if (notices !== '') frames.push(Frame.of(notices))
  if (replay.frame !== undefined) frames.push(replay.frame)
  return { frames, bytes: bytesOf(frames), events: replay.events, gaps }
}

/**
 * Snapshots with the lists of their patterns, and the notices before them. Only the last block has an id, the position
 * of all of them: a cut before it makes them due again.
 */
export function snapshotFrames(
  next: FollowedPage,
  of: Beginning,
  due: Due,
  { listings, snapshots }: Taken,
  gaps: readonly Gap[],
): readonly Frame[] {
  const id = formatCursor(due.at)
  const notices = openText(next, of, undefined) + gaps.map((gap) => gapNotice(gap, false)).join('')
  const isLast = (i: number) => i === listings.length + snapshots.length - 1
  const lists = listings.map(({ pattern, channels }, i) => {
    return Frame.of(encodeHubEvent('list', isLast(i) ? id : undefined, { pattern, channels }))
  })
  const blocks = snapshots.map((snapshot, i) => snapshot.frame(isLast(listings.length + i) ? id : undefined))
  return [...(notices === '' ? [] : [Frame.of(notices)]), ...lists, ...blocks]
}

function openText(
  { page, isRewind }: FollowedPage,
  { form, channels, open }: Beginning,
  id: string | undefined,
): string {
  if (open === undefined) return ''
  const { heartbeatIntervalMs, retryMs } = open.stream
  const rewind = isRewind ? rewindOf(page) : undefined
  return openNotice(retryMs, id, {
    channels,
    resumed: open.resumed,
    heartbeatIntervalMs,
    envelope: form === 'envelope',
    rewind,
  })
}

function bytesOf(frames: readonly Frame[]): number {
  return frames.reduce((sum, frame) => sum + frame.length, 0)
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
