import type { Selector } from '../broker/broker.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { Frame } from '../protocol/frame.ts'

/** The state of one channel. */
export interface Snapshot {
  readonly channel: string
  /** As JSON. */
  readonly data: string
  /** The state contains every change that was published up to here. */
  readonly upto: Cursor
  /** The state as an event; with an ID where the position of the stream is that ID. */
  frame(id: string | undefined): Frame
}

/** The channels of a pattern that have state: all others of the pattern have none. */
export interface Listing {
  readonly pattern: string
  readonly channels: readonly string[]
  /** The list contains every change that was published up to here. */
  readonly upto: Cursor
}

/** The functions that know the state of channels. */
export interface SnapshotSource {
  /** Whether a function is registered for this channel, or for channels of this pattern. */
  has(name: string): boolean
  /** Whether channels with state can be listed for this pattern. */
  lists(pattern: string): boolean
  /** Whether every channel of this pattern that has state is listed. */
  listsAll(pattern: string): boolean
  /** The channels of a pattern that have functions of their own. */
  named(pattern: string): readonly string[]
  /** The other channels with state that a pattern stands for. Rejects with the error of the function. */
  list(pattern: string): Promise<readonly Listing[]>
  /**
   * The state of a channel, good for a stream at `at` unless the epoch has changed meanwhile. Rejects with the error of
   * the function.
   */
  take(channel: string, at: Cursor): Promise<Answer>
}

/** The answer of one function. */
export interface Answer {
  readonly channel: string
  /** Undefined if the channel has no snapshot. */
  readonly snapshot: Snapshot | undefined
  readonly upto: Cursor
}

/** A selector of one channel, for reads. */
export function channelSelector(channel: string): Selector {
  return { channels: [channel], patterns: [], matches: (name) => name === channel }
}
