import type { ChannelMap } from '../channel-types.ts'
import { connect } from './connect.ts'
import { type Connection, connectionOf } from './connection.ts'
import type { ConnectOptions, PerAttempt } from './options.ts'
import { resolveUrl } from './request.ts'
import type { LockManager } from './sharing/leadership.ts'
import { memberSource } from './sharing/member.ts'

// biome-ignore lint/suspicious/noExplicitAny: without a map every channel carries any data
export interface SharedOptions<Channels = any> extends ConnectOptions<Channels> {
  /**
   * The identity of a shared connection. Default: the URL, channels and headers. Required if `url` is a function, and
   * advised if users take turns in one browser: include the user in it.
   */
  key?: string | undefined
}

/**
 * Like `connect()`, but all tabs and workers of this origin with the same request share one connection: one of them
 * holds it, and passes its events on. Each tab still keeps its own position, so every event is delivered once and in
 * order in each. Without Web Locks (they need a secure context) or BroadcastChannel every tab has its own connection.
 *
 * `headers`, `onUnauthorized` and the other functions are those of the tab that holds the connection.
 */
// biome-ignore lint/suspicious/noExplicitAny: without a map every channel carries any data
export function connectShared<Channels extends ChannelMap = any>(
  url: PerAttempt<string | URL>,
  options: SharedOptions<Channels> = {},
): Connection<Channels> {
  const locks = lockManager()
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
  const name = `express-sse-hub ${hash(key ?? JSON.stringify(parts))}`
  return connectionOf(options, (begin, sink) => memberSource(url, options, begin, sink, name, locks))
}

export type { Connection } from './connection.ts'
export type { ConnectionError, ConnectionErrorCode } from './error.ts'
export { type PositionStore, sessionStore } from './store.ts'

/** Undefined if there is none, or if access to it throws. */
function lockManager(): LockManager | undefined {
  try {
    return (globalThis as { navigator?: { locks?: LockManager } }).navigator?.locks
  } catch {
    return undefined
  }
}

/** 53 bits of a text: every script of the origin can list names of locks, and must not find a token in them. */
function hash(text: string): string {
  let [a, b] = [0xdeadbeef, 0x41c6ce57]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    a = Math.imul(a ^ code, 2_654_435_761)
    b = Math.imul(b ^ code, 1_597_334_677)
  }
  return `${(b >>> 0).toString(36)}${(a >>> 0).toString(36)}`
}
