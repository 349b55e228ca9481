import { type HandedOver, isEphemeral, isLoss, type Loss } from '../broker/broker.ts'
import { type Cursor, formatCursor } from '../protocol/cursor.ts'
import { Frame, type FrameForm } from '../protocol/frame.ts'
import type { ChannelDirectory, ChannelSelector, LiveSubscription, Row } from './channel.ts'
import type { Guard } from './guard.ts'
import { type Gap, gapNotice } from './notice.ts'

const FORMS: readonly FrameForm[] = ['plain', 'envelope']

/** The subscriptions that a batch could not keep live. */
export interface FanOutResult {
  /** They received the batch, but lag too far now: they are complete up to its end. */
  readonly behind: LiveSubscription[]
  /**
   * They did not receive the batch, because one of its channels is undecided: they are complete up to the position
   * before it.
   */
  readonly undecided: LiveSubscription[]
  /** Events written, once for each subscription. */
  readonly delivered: number
  /** Not written to, for one ephemeral event: its channel is undecided, and it is not read again. */
  readonly unasked: readonly { readonly subscription: LiveSubscription; readonly channel: string }[]
  /** Gaps that were written for events that the broker could not hand over. */
  readonly gaps: readonly WrittenGap[]
}

export interface WrittenGap {
  readonly subscription: LiveSubscription
  readonly gap: Gap
}

interface Result extends FanOutResult {
  delivered: number
  readonly gaps: WrittenGap[]
  readonly unasked: { subscription: LiveSubscription; channel: string }[]
}

/**
 * Writes a batch to every live subscription of its channels. For each selector the frames are joined once, in the order
 * of the log across all channels, and written together. Written channel by channel, the IDs on a stream would go
 * backwards, and a cut in between would lose events.
 *
 * Nothing here runs third-party code, and no subscription enters or leaves a row during it: the caller applies the
 * result.
 */
export function fanOut(directory: ChannelDirectory, batch: readonly HandedOver[], previous: Cursor): FanOutResult {
  const result: Result = { behind: [], undecided: [], delivered: 0, gaps: [], unasked: [] }
  const touched: ChannelSelector[] = []
  let item: HandedOver
  const touch = (selector: ChannelSelector) => {
    const { hits } = selector
    if (hits.length === 0) touched.push(selector)
    // A stream with two matching patterns receives an event once.
    if (hits.at(-1) !== item) hits.push(item)
  }
  for (item of batch) {
    if (isLoss(item)) for (const channel of item.channels) directory.match(channel, touch)
    else directory.match(item.channel, touch)
  }
  try {
    for (const selector of touched) deliver(selector, previous, result)
  } finally {
    // In every outcome, the next batch must find every selector without hits: a selector with hits would never be
    // served again.
    for (const { hits } of touched) hits.length = 0
  }
  return result
}

function deliver(selector: ChannelSelector, previous: Cursor, result: Result): void {
  const { hits, rows, guarded, waiting } = selector
  if (selector.hasState && hits.some(isLoss)) return leaveToCatchUp(selector, previous, result)
  for (const form of FORMS) {
    const row = rows[form]
    if (row.members.length === 0) continue
    const gaps: Gap[] = []
    writeRow(row, join(hits, form, selector, previous, gaps), result.behind)
    result.delivered += row.members.length * (hits.length - gaps.length)
    for (const gap of gaps) for (const subscription of row.members) result.gaps.push({ subscription, gap })
  }
  for (const subscription of guarded) deliverGuarded(subscription, selector, previous, result)
  if (waiting.size === 0) return
  const batch = hits.some(isEphemeral) ? [...hits] : undefined
  for (const wake of waiting) wake(previous, batch)
  waiting.clear()
}

/** Snapshots replace the losses, and they must be asked for first: nothing is written. */
function leaveToCatchUp({ rows, guarded, waiting }: ChannelSelector, previous: Cursor, result: Result): void {
  for (const form of FORMS) result.undecided.push(...rows[form].members)
  result.undecided.push(...guarded)
  for (const wake of waiting) wake(previous)
  waiting.clear()
}

/**
 * The loop that decides the cost of a delivery: it touches the outlet, and other objects only if `write` returns false.
 */
function writeRow({ outlets, members }: Row, frame: Frame, behind: LiveSubscription[]): void {
  for (let i = 0; i < outlets.length; i++) {
    if (!outlets[i]!.write(frame) && members[i]!.isBehind()) behind.push(members[i]!)
  }
}

function deliverGuarded(
  subscription: LiveSubscription,
  selector: ChannelSelector,
  previous: Cursor,
  result: Result,
): void {
  const admitted: HandedOver[] = []
  const guard = subscription.guard!
  for (const item of selector.hits) {
    const part = isLoss(item) ? admittedLoss(item, guard, selector) : guard.admits(item.channel)
    if (part === undefined && isEphemeral(item)) {
      result.unasked.push({ subscription, channel: item.channel })
      continue
    }
    if (part === undefined) {
      result.undecided.push(subscription)
      return
    }
    if (part !== false) admitted.push(part === true ? item : part)
  }
  if (admitted.length === 0) return
  const gaps: Gap[] = []
  const frame = join(admitted, subscription.form, selector, previous, gaps)
  if (!subscription.outlet.write(frame) && subscription.isBehind()) result.behind.push(subscription)
  result.delivered += admitted.length - gaps.length
  for (const gap of gaps) result.gaps.push({ subscription, gap })
}

/** The loss without denied channels; false if no channel is left, undefined if one is undecided. */
function admittedLoss(loss: Loss, guard: Guard, selector: ChannelSelector): Loss | false | undefined {
  const admitted: string[] = []
  for (const channel of loss.channels) {
    if (!selector.matches(channel)) continue
    const admits = guard.admits(channel)
    if (admits === undefined) return undefined
    if (admits) admitted.push(channel)
  }
  return admitted.length > 0 && { ...loss, channels: admitted }
}

/** The items as one frame. Each loss becomes a gap, which is also added to `gaps`. */
function join(
  items: readonly HandedOver[],
  form: FrameForm,
  selector: ChannelSelector,
  previous: Cursor,
  gaps: Gap[],
): Frame {
  const frames = items.map((item) => {
    if (!isLoss(item)) return item.frame(form)
    const channels = item.channels.filter((channel) => selector.matches(channel))
    const to = formatCursor({ epoch: previous.epoch, seq: item.seq })
    const gap: Gap = { reason: 'trimmed', channels, from: formatCursor(previous), to }
    gaps.push(gap)
    return Frame.of(gapNotice(gap))
  })
  return frames.length === 1 ? frames[0]! : Frame.join(frames)
}

/** A loss that begins before the previous top is reported at the place where it became known: IDs never go back. */
export function placeLosses(batch: readonly HandedOver[], previous: Cursor): readonly HandedOver[] {
  let { seq } = previous
  return batch.map((item) => {
    if (isEphemeral(item)) return item
    seq = Math.max(seq, item.seq)
    return isLoss(item) ? { ...item, seq } : item
  })
}
