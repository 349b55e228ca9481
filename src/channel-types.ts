// The channels of a hub as types. Nothing here exists at run time.

import type { ChannelPattern } from './channel-name.ts'

/**
 * Channel names or patterns, and the data published to them. `any`: every channel accepts any data. A map may be an
 * interface.
 */
export type ChannelMap = object

/** Whether the pattern `P` matches the channel `C`, token by token. */
type Matches<P extends string, C extends string> = P extends '>'
  ? true
  : P extends `${infer Head}.${infer Tail}`
    ? C extends `${infer First}.${infer Rest}`
      ? Head extends '*'
        ? Matches<Tail, Rest>
        : First extends Head
          ? Matches<Tail, Rest>
          : false
      : false
    : C extends `${string}.${string}`
      ? false
      : P extends '*'
        ? true
        : C extends P
          ? true
          : false

type HasWildcard<C extends string> = C extends `${string}*${string}` | `${string}>${string}` ? true : false

/** The data of every pattern that matches `C`. */
type PatternData<Channels, C extends string> = {
  [P in keyof Channels & string]: HasWildcard<P> extends true
    ? Matches<P, C> extends true
      ? Channels[P]
      : never
    : never
}[keyof Channels & string]

/** The data of a channel: from its own name, otherwise from the patterns that match it. */
export type ChannelData<Channels, C extends string> = C extends keyof Channels ? Channels[C] : PatternData<Channels, C>

/** The data received on channels and patterns: `unknown` for a channel that is not in the map. */
export type HeardData<Channels, C extends string> = [ChannelData<Channels, C>] extends [never]
  ? unknown
  : ChannelData<Channels, C>

export type IsAny<T> = 0 extends 1 & T ? true : false

/** The channel names that a key of the map matches, as a template: `price.*` is `price.${string}`. */
export type NamesOf<Key extends string> = Key extends '*' | '>'
  ? string
  : Key extends `${infer Head}.${infer Tail}`
    ? `${Head extends '*' ? string : Head}.${NamesOf<Tail>}`
    : Key

/** Every channel name of the map; any name without a map. */
export type ChannelName<Channels> =
  IsAny<Channels> extends true ? string : { [Key in keyof Channels & string]: NamesOf<Key> }[keyof Channels & string]

/** Names and patterns that an application may list or request: those of the map, and any text with a wildcard. */
export type ChannelEntry<Channels> =
  IsAny<Channels> extends true
    ? string
    : ChannelName<Channels> | (keyof Channels & string) | `${string}*${string}` | `${string}>`

/** The channels that an application may subscribe to: names of the map, and patterns. */
export type ChannelSelectionOf<Channels> =
  | ChannelName<Channels>
  | ChannelPattern
  | readonly (ChannelName<Channels> | ChannelPattern)[]

/**
 * `unknown` for a channel that can be published to, so that `C & …` is `C`; `never` for a pattern and for an unknown
 * channel.
 */
export type Publishable<Channels, C extends string> =
  IsAny<Channels> extends true
    ? unknown
    : HasWildcard<C> extends true
      ? never
      : C extends keyof Channels
        ? unknown
        : true extends {
              [P in keyof Channels & string]: HasWildcard<P> extends true ? Matches<P, C> : false
            }[keyof Channels & string]
          ? unknown
          : never
