import type { Request } from 'express'
import { parseChannelOrPattern } from '../channel-name.ts'
import type { ChannelEntry } from '../channel-types.ts'
import type { SseError } from '../errors.ts'
import { booleanOption, functionOption, integerOption, optionsObject } from '../option.ts'
import type { PublishHook, SubscribeHook } from './hooks.ts'

type ChannelOf = { hook(req: Request): string | Promise<string> }['hook']

/** Options of `hub.channel(name).router()`: those of every router except the channels. */
export interface ChannelRouterOptions {
  /**
   * Permission to read. Default: every request that reaches the route. Called on every request, including reconnects.
   * Exactly `true`, or a plain object with only `until` and `info`, allows; any other value is 403. An error with a 4xx
   * `status` is answered with this status and its `headers`. Any other error is a failure, which asks the client to
   * reconnect, and so is a missing answer after 10 s. For a pattern it is called again for each channel, before the
   * first event of that channel.
   */
  subscribe?: 'anyone' | SubscribeHook | undefined
  /**
   * Permission to POST. Default: no request. `'anyone'`: every request that reaches the route. Exactly `true` allows;
   * any other value is 403. Errors as with `subscribe`, but a failure goes to `next`; a missing answer after 10 s is
   * 503.
   */
  publish?: 'anyone' | PublishHook | undefined
  /** Origins whose pages may POST across sites, such as `https://admin.example.org`; `'null'` for opaque ones. Default: none. */
  allowedOrigins?: readonly string[] | undefined
  /** Bytes of one request body. Default 1,048,576. A larger body is 413. */
  maxBodyBytes?: number | undefined
  /**
   * Milliseconds until the whole body of a POST must have arrived; a slower one is 408. Default 30,000; 0 = no limit.
   */
  bodyTimeoutMs?: number | undefined
  /**
   * The option of `sse()`, for the streams of this router: it is enough to set one of them. Default false. A stream
   * with a pattern among its channels stays as it is if `subscribe` is a function, because it may be called again with
   * the request. If it is a function and the stream has names only, a pattern that is added later is denied every
   * channel.
   */
  letGo?: boolean | undefined
}

/** Options of `hub.router()`. Exactly one of `channels` and `channel`. */
// biome-ignore lint/suspicious/noExplicitAny: without a map every channel is served
export interface RouterOptions<Channels = any> extends ChannelRouterOptions {
  /**
   * The names and patterns that are served at `/:channel` and at `?channel=a&channel=b`; any other name is 404. A
   * client can request only a pattern that an entry covers. `['>']` serves all.
   */
  channels?: readonly ChannelEntry<Channels>[] | undefined
  /**
   * The only channel, served on the mount itself, for routers mounted under parameters. The result is a name: a
   * wildcard in it is 400.
   */
  channel?: ChannelOf | undefined
}

const NAMES = [
  'channels',
  'channel',
  'subscribe',
  'publish',
  'allowedOrigins',
  'maxBodyBytes',
  'bodyTimeoutMs',
  'letGo',
] as const

/** Options with every default filled in. Hooks are called on `given`. */
export interface ResolvedRouterOptions {
  readonly given: RouterOptions
  /** Names and patterns; undefined for a router of one channel. */
  readonly served: readonly string[] | undefined
  readonly allowedOrigins: ReadonlySet<string>
  readonly maxBodyBytes: number
  readonly bodyTimeoutMs: number
  readonly letGo: boolean
}

/** Throws a TypeError that names an invalid option. */
export function resolveRouterOptions(options: RouterOptions): ResolvedRouterOptions {
  const given = optionsObject('router()', options, NAMES)
  if ((given.channels === undefined) === (given.channel === undefined)) {
    throw new TypeError(
      "A router must have exactly one of the options `channels` and `channel`. channels: ['>'] serves all channels.",
    )
  }
  const served = given.channels === undefined ? undefined : parseServed(given.channels)
  functionOption('channel', given.channel, 2)
  if (given.subscribe !== 'anyone') functionOption('subscribe', given.subscribe, 2)
  if (given.publish !== 'anyone') functionOption('publish', given.publish, 2)
  return {
    given,
    served,
    allowedOrigins: new Set(parseOrigins(given.allowedOrigins)),
    maxBodyBytes: integerOption('maxBodyBytes', given.maxBodyBytes, 1_048_576, 1, Number.MAX_SAFE_INTEGER),
    bodyTimeoutMs: integerOption('bodyTimeoutMs', given.bodyTimeoutMs, 30_000, 0, 2 ** 31 - 1),
    letGo: booleanOption('letGo', given.letGo, false),
  }
}

function parseServed(channels: unknown): readonly string[] {
  if (!Array.isArray(channels) || channels.length === 0) {
    throw new TypeError('Option `channels` must be an array of at least one channel name or pattern.')
  }
  return channels.map((name) => {
    try {
      return parseChannelOrPattern(name)
    } catch (error) {
      throw new TypeError(`Option \`channels\`: ${(error as SseError).detail}`)
    }
  })
}

function parseOrigins(origins: unknown): readonly string[] {
  if (origins === undefined) return []
  if (Array.isArray(origins) && origins.every((o) => o === 'null' || (URL.canParse(o) && new URL(o).origin === o))) {
    return origins
  }
  throw new TypeError(
    "Option `allowedOrigins` must be an array of origins, such as 'https://admin.example.org', or 'null'.",
  )
}
