import { isLoss, type Loss, type Page } from '../broker/broker.ts'
import type { StoredEvent } from '../broker/stored-event.ts'
import { formatCursor } from '../protocol/cursor.ts'
import { Frame, type FrameForm } from '../protocol/frame.ts'
import { type Gap, gapNotice } from './notice.ts'

/** A page as one write. */
export interface Replay {
  /** Undefined when the page has no items. */
  readonly frame: Frame | undefined
  readonly events: number
  readonly gaps: readonly Gap[]
}

const NOTHING: Replay = { frame: undefined, events: 0, gaps: [] }

/** A page for several readers is joined once. */
const made = new WeakMap<Page, Map<string, Replay>>()

/** Joins the items of a page. `from` is the position of the reader, which its gaps contain. */
export function replayOf(page: Page, form: FrameForm, from: string): Replay {
  if (page.items.length === 0) return NOTHING
  let byForm = made.get(page)
  if (byForm === undefined) {
    byForm = new Map()
    made.set(page, byForm)
  }
  const key = `${form} ${from}`
  let replay = byForm.get(key)
  if (replay === undefined) {
    replay = makeReplay(page, form, from)
    byForm.set(key, replay)
  }
  return replay
}

function makeReplay(page: Page, form: FrameForm, from: string): Replay {
  const frames: Frame[] = []
  const gaps: Gap[] = []
  for (const item of conflate(page.items)) {
    if (isLoss(item)) {
      const gap = gapOf(item, page, from)
      gaps.push(gap)
      frames.push(Frame.of(gapNotice(gap)))
    } else {
      frames.push(item.frame(form))
    }
  }
  const frame = frames.length === 0 ? undefined : Frame.join(frames)
  for (const item of page.items) if (!isLoss(item)) item.release()
  return { frame, events: frames.length - gaps.length, gaps }
}

export function gapOf(loss: Loss, page: Page, from: string): Gap {
  const to = formatCursor({ epoch: page.upto.epoch, seq: loss.seq })
  return { reason: 'trimmed', channels: loss.channels, from, to }
}

/**
 * Of events with the same channel and key, only the last stays, at its own place. This happens within one page only.
 * The event that stays is later than those it replaces, so a cut at any point resumes correctly, and no gap is
 * reported.
 */
export function conflate(items: Page['items']): readonly (StoredEvent | Loss)[] {
  const newest = new Map<string, StoredEvent>()
  for (const item of items) {
    if (!isLoss(item) && item.conflationKey !== undefined) newest.set(keyOf(item), item)
  }
  if (newest.size === 0) return items
  return items.filter((item) => isLoss(item) || item.conflationKey === undefined || newest.get(keyOf(item)) === item)
}

function keyOf({ channel, conflationKey }: StoredEvent): string {
  return `${channel}\0${conflationKey}`
}
