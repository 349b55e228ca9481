import type { ChannelMap } from '../channel-types.ts'
import { connect } from './connect.ts'
import { type Connection, connectionOf } from './connection.ts'
import type { ConnectOptions, PerAttempt } from './options.ts'
import { resolveUrl } from './request.ts'
import type { LockManager } from './sharing/leadership.ts'
import { memberSource } from './sharing/member.ts'

export interface SharedOptions<Channels = unknown> extends ConnectOptions<Channels> {
  /**
   * What the tabs that share a connection have in common. Default: the URL, channels and headers. Required where `url`
   * is a function, and advised where users take turns in one browser: name the user in it.
   */
  key?: string | undefined
}

/**
 * As `connect()`, but all tabs and workers of this origin that ask for the same share one connection: one of them holds
 * it, and hands on what it hears. Each tab still keeps its own position, so every event is told once and in order in
 * each. Without Web Locks (they need a secure context) or BroadcastChannel every tab has its own connection.
 *
 * `headers`, `onUnauthorized` and the like are those of the tab that holds the connection.
 */
// biome-ignore lint/suspicious/noExplicitAny: without a map every channel carries any data
export function connectShared<Channels extends ChannelMap = any>(
  url: PerAttempt<string | URL>,
  options: SharedOptions<Channels> = {},
): Connection<Channels> {
  const { navigator } = globalThis as { navigator?: { locks?: LockManager } }
  const locks = navigator?.locks
  if (!locks || !globalThis.BroadcastChannel) return connect(url, options)
  const { channels = [], rewind, headers, credentials, key } = options
  if (typeof url === 'function' && !key) throw new TypeError('A shared connection whose url is a function needs a key.')
  const parts = [
    typeof url === 'function' || resolveUrl(url),
    channels,
    rewind,
    credentials,
    typeof headers === 'function' || [...new Headers(headers)],
  ]
  const name = `express-sse-hub ${key ?? JSON.stringify(parts)}`
  return connectionOf(options, (begin, sink) => memberSource(url, options, begin, sink, name, locks))
}

export type { Connection } from './connection.ts'
export type { ConnectionError, ConnectionErrorCode } from './error.ts'
export { type PositionStore, sessionStore } from './store.ts'
