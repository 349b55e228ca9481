import type { Server } from 'node:http'
import type { Http2SecureServer, Http2Server } from 'node:http2'
import type { HubCloseOptions } from '../hub/shutdown.ts'
import { integerOption, wrongOption } from '../option.ts'

/** The interval between two searches for idle connections while the last responses end. */
const LOOK_MS = 20

/** The part of a hub that `gracefulShutdown` uses: the hub may belong to another copy of this package. */
interface ClosableHub {
  close(options?: HubCloseOptions): Promise<void>
}

/**
 * Shuts a server down. It accepts no more connections, the hub commits everything that was accepted and ends its
 * streams (`hub.close()`), and each connection is closed as soon as it is idle; a browser would keep it open for
 * seconds. Other responses have the rest of `timeoutMs` (default 10,000) to end; then their connections are cut.
 *
 * Resolves when no connection is left. Throws a TypeError that names an invalid argument.
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
  // HTTP/2 servers have no such methods, and end their sessions on their own.
  const { closeIdleConnections, closeAllConnections } = server as Partial<Server>
  const timer = setInterval(() => {
    closeIdleConnections?.call(server)
    if (performance.now() >= end) closeAllConnections?.call(server)
  }, LOOK_MS)
  closeIdleConnections?.call(server)
  await closed
  clearInterval(timer)
}
