import { Socket } from 'node:net'
import type { NextFunction, Request, Response } from 'express'

/** Requests that may wait on a connection before it is read no further. */
const MAX_WAITING = 16

/** The number of requests that wait on a connection. */
const waiting = new WeakMap<Socket, number>()

/**
 * Middleware that delays the requests of a pipeline until their turn to be answered, and serves at most one of them per
 * connection and turn of the event loop. A client may send thousands of requests in one packet. Without this middleware
 * all of them would be served before the next packet of any other client, and each stream among them would hold a
 * subscription that cannot be written to.
 *
 * Node stops reading a connection by the bytes of the responses that wait, and these have none yet. So it is stopped here
 * by their number, and only the requests of one read wait: those in 64 KiB.
 */
export function inTurn(req: Request, res: Response, next: NextFunction): void {
  if (!isQueued(req, res)) return next()
  const { socket } = req
  if (socket.destroyed) return
  count(socket, 1)
  // [node] ServerResponse emits 'socket' when the response before it has ended. If the connection closes first, this
  // request is no longer referenced.
  res.once('socket', () => {
    setImmediate(() => {
      count(socket, -1)
      next()
    })
  })
}

function count(socket: Socket, change: 1 | -1): void {
  const length = (waiting.get(socket) ?? 0) + change
  waiting.set(socket, length)
  if (change === 1 && length === MAX_WAITING + 1) socket.on('resume', keepPaused).pause()
  else if (change === -1 && length === MAX_WAITING) socket.off('resume', keepPaused).resume()
}

/** [node] Every request that has been read, and every response that ends, resumes its socket. */
function keepPaused(this: Socket): void {
  this.pause()
}

/** Only Node's own HTTP/1 server queues a response; others, and requests made in tests, may have no socket at all. */
function isQueued(req: Request, res: Response): boolean {
  return res.socket === null && req.httpVersionMajor < 2 && req.socket instanceof Socket
}
