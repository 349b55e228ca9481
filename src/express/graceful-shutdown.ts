import type { Server } from 'node:http'
import type { Http2SecureServer, Http2Server } from 'node:http2'
import type { HubCloseOptions } from '../hub/shutdown.ts'
import { integerOption, wrongOption } from '../option.ts'

/** How often idle connections are looked for while the last responses end. */
const LOOK_MS = 20

/** What `gracefulShutdown` needs of a hub: it may be of another copy of this package. */
interface ClosableHub {
  close(options?: HubCloseOptions): Promise<void>
}

/**
 * Shuts a server down: it accepts no more connections, the hub commits what was accepted and ends its streams
 * (`hub.close()`), and connections are closed as soon as they are idle, which a browser keeps for seconds otherwise.
 * Responses that are not streams have the rest of `timeoutMs` (default 10 000) to end; then their connections are cut.
 *
 * Resolves when nothing is left. Throws a TypeError that names a wrong argument.
 */
export async function gracefulShutdown(
  server: Server | Http2Server | Http2SecureServer,
  hub: ClosableHub,
  options?: HubCloseOptions,
): Promise<void> {
  if (typeof server?.close !== 'function') throw wrongOption('server', 'a server', server)
  if (typeof hub?.close !== 'function') throw wrongOption('hub', 'a ChannelHub', hub)
  const timeoutMs = integerOption('timeoutMs', options?.timeoutMs, 10_000, 0, 3_600_000)
  const end = performance.now() + timeoutMs
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  await hub.close(options)
  // HTTP/2 servers have no such methods, and end their sessions by themselves.
  const { closeIdleConnections, closeAllConnections } = server as Partial<Server>
  const timer = setInterval(() => {
    closeIdleConnections?.call(server)
    if (performance.now() >= end) closeAllConnections?.call(server)
  }, LOOK_MS)
  closeIdleConnections?.call(server)
  await closed
  clearInterval(timer)
}
