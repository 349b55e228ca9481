import type { StoredEvent } from '../broker/broker.ts'
import type { Cursor } from '../protocol/cursor.ts'
import { Frame, type FrameForm } from '../protocol/frame.ts'
import type { ChannelDirectory, ChannelSelector, LiveSubscription, Row } from './channel.ts'

const FORMS: readonly FrameForm[] = ['plain', 'envelope']

/** Who could not be kept live by a batch. */
export interface FanOutResult {
  /** Written to, but too far behind now: complete up to the end of the batch. */
  readonly behind: LiveSubscription[]
  /** Not written to, because of a channel that nobody has decided on: complete up to the position before the batch. */
  readonly undecided: LiveSubscription[]
  /** Events written, once for each subscription. */
  readonly delivered: number
}

/**
 * Writes a batch to every live subscription it concerns. For each selector its frames are joined once, in the order of
 * the log and whatever their channel, and written in one go: written channel by channel, the IDs on a stream would go
 * backwards, and a cut in between would lose events.
 *
 * Nothing here runs foreign code, and nobody enters or leaves a row meanwhile: the caller does that with the result.
 */
export function fanOut(directory: ChannelDirectory, batch: readonly StoredEvent[], previous: Cursor): FanOutResult {
  const result = { behind: [] as LiveSubscription[], undecided: [] as LiveSubscription[], delivered: 0 }
  const touched: ChannelSelector[] = []
  let event: StoredEvent
  const touch = (selector: ChannelSelector) => {
    const { hits } = selector
    if (hits.length === 0) touched.push(selector)
    // A stream that matches by two of its patterns hears an event once.
    if (hits.at(-1) !== event) hits.push(event)
  }
  for (event of batch) directory.match(event.channel, touch)
  for (const selector of touched) {
    const { hits, rows, guarded, waiting } = selector
    for (const form of FORMS) {
      const row = rows[form]
      if (row.members.length === 0) continue
      writeRow(row, join(hits, form), result.behind)
      result.delivered += row.members.length * hits.length
    }
    for (const subscription of guarded) deliverGuarded(subscription, hits, result)
    for (const wake of waiting) wake(previous)
    waiting.clear()
    hits.length = 0
  }
  return result
}

/** The loop that the cost of a delivery is decided in: it touches the outlet, and nothing else unless that says no. */
function writeRow({ outlets, members }: Row, frame: Frame, behind: LiveSubscription[]): void {
  for (let i = 0; i < outlets.length; i++) {
    if (!outlets[i]!.write(frame) && members[i]!.isBehind()) behind.push(members[i]!)
  }
}

function deliverGuarded(
  subscription: LiveSubscription,
  hits: readonly StoredEvent[],
  result: { behind: LiveSubscription[]; undecided: LiveSubscription[]; delivered: number },
): void {
  const admitted: StoredEvent[] = []
  for (const event of hits) {
    const admits = subscription.admits!(event.channel)
    if (admits === undefined) {
      result.undecided.push(subscription)
      return
    }
    if (admits) admitted.push(event)
  }
  if (admitted.length === 0) return
  const frame = join(admitted, subscription.form)
  if (!subscription.outlet.write(frame) && subscription.isBehind()) result.behind.push(subscription)
  result.delivered += admitted.length
}

function join(events: readonly StoredEvent[], form: FrameForm): Frame {
  return events.length === 1 ? events[0]!.frame.as(form) : Frame.join(events.map((event) => event.frame.as(form)))
}
