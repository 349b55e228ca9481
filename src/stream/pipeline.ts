import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

// A client may send requests ahead. Node makes their responses at once, and gives them the connection one after the
// other. Until its turn, a response does not emit the end of the connection.

/** The number of requests for streams that may wait on a connection. Behind a stream, none of them is ever answered. */
const MAX_WAITING = 16

/** The callbacks for the end of the connection, one for each response that waits on it. */
const waiting = new WeakMap<Socket, Set<() => void>>()

/** Whether the response waits for its turn. */
export function isWaiting(res: ServerResponse): boolean {
  return res.socket === null
}

/**
 * Calls `gone` if the connection ends before the turn of the response. Cuts a connection with too many waiting
 * requests: each of them costs as much as a stream.
 */
export function awaitTurn(socket: Socket, res: ServerResponse, gone: () => void): void {
  const all = waiting.get(socket) ?? listen(socket)
  all.add(gone)
  res.once('socket', () => all.delete(gone))
  if (all.size > MAX_WAITING) socket.destroy()
}

/** Takes `awaitTurn` back. */
export function forgoTurn(socket: Socket, gone: () => void): void {
  waiting.get(socket)?.delete(gone)
}

/** One listener for all: Node warns about more than ten. */
function listen(socket: Socket): Set<() => void> {
  const all = new Set<() => void>()
  waiting.set(socket, all)
  socket.once('close', () => {
    for (const gone of all) gone()
  })
  return all
}
