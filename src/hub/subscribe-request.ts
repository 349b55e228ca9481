import { booleanOption, integerOption, wrongOption } from '../option.ts'
import type { FrameForm } from '../protocol/frame.ts'
import type { PendingAdmission } from './admissions.ts'
import type { Authorize } from './guard.ts'
import { REWIND } from './reads.ts'

/** Options of `subscribe()`. */
export interface SubscribeOptions {
  /** The position to resume from: an event ID of this hub; `''` = the end. Default: the stream's `lastEventId`. */
  after?: string | undefined
  /** The number of kept events of each channel to start with if there is no usable position. 0 – 1,000. Default 0. */
  rewind?: number | undefined
  /**
   * Every event as type `message` with `{ channel, event, data }`, so that a stream of several channels names the
   * channel. Default: the choice of the request (`?envelope=1`).
   */
  envelope?: boolean | undefined
  /**
   * Snapshots of the channels that have state. Default: if the position requires them. `true`: in any case, because the
   * client has a position and no state. `false`: never.
   */
  snapshot?: boolean | undefined
  /** Any value, to identify the subscription by. */
  info?: unknown
}

/** A checked request for a subscription. */
export interface SubscribeRequest {
  /** Channel names and patterns, each once. */
  readonly names: readonly string[]
  readonly form: FrameForm
  readonly info: unknown
  /** The position to resume from, as the text of a cursor; `''` = the end. */
  readonly after: string
  /** The number of kept events of each channel to start with if there is no usable position. */
  readonly rewind: number
  /** See SubscribeOptions. */
  readonly snapshot?: boolean | undefined
  /** Decides on each channel that a pattern matches, before its first event. */
  readonly authorize?: Authorize | undefined
  /** When the permission ends, in milliseconds of the wall clock. */
  readonly until?: number | undefined
  /** The address that the stream counts for, with `maxStreamsPerAddress`. */
  readonly address?: string | undefined
  /** Present if a hook has decided on the request. */
  readonly admission?: PendingAdmission | undefined
}

/** The number of events of each channel to start with. Throws a TypeError that names the option. */
export function parseRewind(rewind: number | undefined): number {
  return Math.min(integerOption('rewind', rewind, 0, 0, Number.MAX_SAFE_INTEGER), REWIND.events)
}

/** The position to resume from. Throws a TypeError that names the option. */
export function parseAfter(after: string | undefined, fallback: string): string {
  if (after === undefined) return fallback
  if (typeof after !== 'string') throw wrongOption('after', 'an event ID', after)
  return after
}

/** Whether snapshots are wanted; undefined = if the position requires them. Throws a TypeError that names the option. */
export function parseSnapshot(snapshot: boolean | undefined): boolean | undefined {
  return snapshot === undefined ? undefined : booleanOption('snapshot', snapshot, false)
}
