import { integerOption } from '../option.ts'
import type { Authorize, Decision } from './guard.ts'
import { REWIND } from './reads.ts'

/** Where a subscription begins, and how its events look. */
export interface SubscribeInit {
  /** Where to go on: an event ID of this hub; `''` = at the end. Default: the stream's `lastEventId`. */
  after?: string | undefined
  /** Kept events of each channel to begin with when there is no usable position. 0 – 1 000. Default 0. */
  rewind?: number | undefined
  /** Every event as type `message` with `{ channel, event, data }`, so that a stream of several channels tells them apart. */
  envelope?: boolean | undefined
  /** Anything, to recognise the subscription by. */
  info?: unknown
}

/** What a route knows besides. */
export interface Admission extends Pick<Decision, 'until'> {
  /** Decides on each channel that a pattern stands for, before its first event. */
  readonly authorize?: Authorize | undefined
  /** Whose stream it is, for `maxStreamsPerAddress`. */
  readonly address?: string | undefined
}

/** How many events of each channel to begin with. Throws a TypeError that names the option. */
export function parseRewind(rewind: number | undefined): number {
  return Math.min(integerOption('rewind', rewind, 0, 0, Number.MAX_SAFE_INTEGER), REWIND.events)
}
