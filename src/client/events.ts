import type { IsAny, NamesOf } from '../channel-types.ts'
import type { ConnectionError } from './error.ts'

// The events that a connection emits. The shapes of events and gaps are those of `hub.events()` on the server.

/** One published event. */
export interface ReceivedEvent<Channel extends string = string, Data = unknown> {
  /** `''` on a stream that does not belong to a hub. */
  readonly channel: Channel
  /** The event type; undefined when it has none. */
  readonly event: string | undefined
  /** Of an ephemeral channel, whose events have no ID: the position of the connection. */
  readonly id: string
  /** The value that was published. On a stream that does not belong to a hub: the text. */
  readonly data: Data
}

/** An event of any channel of the map; its `channel` determines the type of its data. */
export type EventOf<Channels> =
  IsAny<Channels> extends true
    ? // biome-ignore lint/suspicious/noExplicitAny: without a map every channel carries any data
      ReceivedEvent<string, any>
    : { [Key in keyof Channels & string]: ReceivedEvent<NamesOf<Key>, Channels[Key]> }[keyof Channels & string]

/** For these channels, events after the last one that was received, up to and including `to`, may be missing. */
export interface ReceivedGap {
  readonly gap: true
  readonly reason: 'trimmed' | 'diverged' | 'unknown-epoch' | 'bad-cursor'
  readonly channels: readonly string[]
  readonly from: string | null
  readonly to: string
  /** The same as `to`, unless the stream has another ID. */
  readonly id: string
}

/** The state of a channel. It replaces all that is known of it. */
export interface ReceivedSnapshot {
  readonly snapshot: true
  readonly channel: string
  readonly event?: undefined
  /** Null if the state was deleted. */
  // biome-ignore lint/suspicious/noExplicitAny: a map of channels has the data of events, not of states
  readonly data: any
  /** The position of the connection. Of several snapshots only the last moves it. */
  readonly id: string
}

/** The channels of a pattern that have state, before their snapshots. All others of the pattern have none. */
export interface ReceivedList {
  readonly list: true
  readonly pattern: string
  readonly channels: readonly string[]
  readonly channel?: undefined
  readonly event?: undefined
  readonly data?: undefined
  /** The position of the connection. */
  readonly id: string
}

/** The first message of a hub on a stream. */
export interface OpenInfo {
  readonly channels: readonly string[]
  /** Whether the position was accepted: the missed events follow. */
  readonly resumed: boolean
  readonly heartbeatIntervalMs: number
  /** Whether the events of the stream name their channel. */
  readonly envelope?: boolean
  /** Whether the client polls instead of holding a stream: see `withPolling()`. */
  readonly polling?: boolean
  /** With `rewind`: the number of kept events that come first, and whether a channel had earlier ones. */
  readonly rewind?: { readonly events: number; readonly earlier: boolean }
  /** The position before the events that follow. */
  readonly id: string
}

/** `waiting`: until the next attempt, or until the page is shown again. */
export type ConnectionState = 'connecting' | 'open' | 'waiting' | 'closed'

export interface ConnectionEnd {
  /**
   * `closed`: by `close()`. `aborted`: by `signal`. `finished`: the server has ended the stream permanently. `failed`:
   * another attempt would be useless.
   */
  readonly reason: 'closed' | 'aborted' | 'finished' | 'failed'
  readonly error?: ConnectionError | undefined
}

export interface ConnectionEvents<Channels> {
  /** Every published event, in the order of the log. */
  event: EventOf<Channels>
  gap: ReceivedGap
  snapshot: ReceivedSnapshot
  list: ReceivedList
  /** The hub has answered, for the first time or again. */
  open: OpenInfo
  /** The same, when the position was accepted. */
  resumed: OpenInfo
  state: ConnectionState
  error: ConnectionError
  closed: ConnectionEnd
}
