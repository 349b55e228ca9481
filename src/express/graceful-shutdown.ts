import type { Server } from 'node:http'
import type { Http2SecureServer, Http2Server } from 'node:http2'
import type { Socket } from 'node:net'
import type { HubCloseOptions } from '../hub/shutdown.ts'
import { integerOption, wrongOption } from '../option.ts'

/** The interval between two searches for idle connections while the last responses end. */
const LOOK_MS = 20

type AnyServer = Server | Http2Server | Http2SecureServer

/** The part of a hub that `gracefulShutdown` uses: the hub may belong to another copy of this package. */
interface ClosableHub {
  close(options?: HubCloseOptions): Promise<void>
}

/** The shutdowns in progress, by server and hub. */
const shutdowns = new WeakMap<AnyServer, WeakMap<ClosableHub, Promise<void>>>()

/**
 * Shuts a server down. It accepts no more connections, the hub commits everything that was accepted and ends its
 * streams (`hub.close()`), and each connection is closed as soon as it is idle; a browser would keep it open for
 * seconds. Everything else has the rest of `timeoutMs` (default 10,000) to end: other responses, WebSockets, sessions
 * of HTTP/2 that their clients keep open. Then their connections are cut.
 *
 * Resolves when no connection is left. A further call for the same server and hub returns the promise of the first.
 * Rejects with a TypeError that names an invalid argument.
 */
export function gracefulShutdown(server: AnyServer, hub: ClosableHub, options?: HubCloseOptions): Promise<void> {
  const byHub = shutdowns.get(server) ?? new WeakMap<ClosableHub, Promise<void>>()
  const inProgress = byHub.get(hub)
  if (inProgress !== undefined) return inProgress
  const shutdown = shutDown(server, hub, options)
  if (isClosable(server) && isClosable(hub)) {
    shutdowns.set(server, byHub.set(hub, shutdown))
    // After a wrong option there may be another call.
    shutdown.catch(() => byHub.delete(hub))
  }
  return shutdown
}

async function shutDown(server: AnyServer, hub: ClosableHub, options: HubCloseOptions | undefined): Promise<void> {
  if (!isClosable(server)) throw wrongOption('server', 'a server', server)
  if (!isClosable(hub)) throw wrongOption('hub', 'a ChannelHub', hub)
  const timeoutMs = integerOption('timeoutMs', options?.timeoutMs, 10_000, 0, 3_600_000)
  const end = performance.now() + timeoutMs
  const closed = new Promise<void>((resolve) => server.close(() => resolve()))
  await hub.close(options)
  // Servers of HTTP/2 have no such methods.
  const { closeIdleConnections, closeAllConnections } = server as Partial<Server>
  const timer = setInterval(() => {
    closeIdleConnections?.call(server)
    if (performance.now() < end) return
    closeAllConnections?.call(server)
    for (const socket of otherSocketsOf(server)) socket.destroy()
  }, LOOK_MS)
  closeIdleConnections?.call(server)
  await closed
  clearInterval(timer)
}

/**
 * The open connections that `closeAllConnections()` does not reach: those that were upgraded, and all of HTTP/2. No
 * documented list has them, so they are found among the open handles of the process, where Node shows those.
 */
function otherSocketsOf(server: AnyServer): Socket[] {
  const handles = (process as { _getActiveHandles?(): unknown[] })._getActiveHandles?.() ?? []
  return handles.filter((handle): handle is Socket => (handle as { server?: unknown } | null)?.server === server)
}

function isClosable(value: unknown): boolean {
  return typeof (value as { close?: unknown } | null | undefined)?.close === 'function'
}
