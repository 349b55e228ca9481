import { integerOption, wrongOption } from '../option.ts'
import type { FrameForm } from '../protocol/frame.ts'
import type { PendingAdmission } from './admissions.ts'
import type { Authorize } from './guard.ts'
import { REWIND } from './reads.ts'

/** Options of `subscribe()`. */
export interface SubscribeOptions {
  /** Where to resume: an event ID of this hub; `''` = at the end. Default: the stream's `lastEventId`. */
  after?: string | undefined
  /** Kept events of each channel to begin with when there is no usable position. 0 – 1 000. Default 0. */
  rewind?: number | undefined
  /**
   * Every event as type `message` with `{ channel, event, data }`, so that a stream of several channels tells them apart.
   * Default: what the request asks for with `?envelope=1`.
   */
  envelope?: boolean | undefined
  /** Anything, to recognise the subscription by. */
  info?: unknown
}

/** A subscription that is asked for, checked. */
export interface SubscribeRequest {
  /** Channel names and patterns, each once. */
  readonly names: readonly string[]
  readonly form: FrameForm
  readonly info: unknown
  /** Where to resume: the text of a cursor, `''` = at the end. */
  readonly after: string
  /** Kept events of each channel to begin with when there is no usable position. */
  readonly rewind: number
  /** Decides on each channel that a pattern stands for, before its first event. */
  readonly authorize?: Authorize | undefined
  /** When the permission ends, in milliseconds of the wall clock. */
  readonly until?: number | undefined
  /** The address that the stream counts for, with `maxStreamsPerAddress`. */
  readonly address?: string | undefined
  /** Where a hook has decided on the request. */
  readonly admission?: PendingAdmission | undefined
}

/** How many events of each channel to begin with. Throws a TypeError that names the option. */
export function parseRewind(rewind: number | undefined): number {
  return Math.min(integerOption('rewind', rewind, 0, 0, Number.MAX_SAFE_INTEGER), REWIND.events)
}

/** Where to resume. Throws a TypeError that names the option. */
export function parseAfter(after: string | undefined, fallback: string): string {
  if (after === undefined) return fallback
  if (typeof after !== 'string') throw wrongOption('after', 'an event ID', after)
  return after
}
