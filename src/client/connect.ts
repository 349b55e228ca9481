import type { ChannelMap } from '../channel-types.ts'
import { type Connection, connectionOf } from './connection.ts'
import type { ConnectOptions, PerAttempt } from './options.ts'
import { resolveUrl } from './request.ts'
import { httpSource } from './source.ts'

/**
 * Connects to channels of a hub, and reconnects when the connection is lost: every event is delivered once and in
 * order, or a gap is. `url` may be relative to the page. Listeners that are added in the same turn miss nothing.
 */
// biome-ignore lint/suspicious/noExplicitAny: without a map every channel carries any data
export function connect<Channels extends ChannelMap = any>(
  url: PerAttempt<string | URL>,
  options: ConnectOptions<Channels> = {},
): Connection<Channels> {
  if (typeof url !== 'function') resolveUrl(url)
  return connectionOf(options, (begin, sink) => httpSource(url, options, begin, sink))
}
