import { Socket } from 'node:net'
import type { NextFunction, Request, Response } from 'express'

/**
 * Middleware that delays the requests of a pipeline until their turn to be answered, and serves at most one of them per
 * connection and turn of the event loop. A client may send thousands of requests in one packet. Without this middleware
 * all of them would be served before the next packet of any other client, and each stream among them would hold a
 * subscription that cannot be written to.
 */
export function inTurn(req: Request, res: Response, next: NextFunction): void {
  if (!isQueued(req, res)) return next()
  // [node] ServerResponse emits 'socket' when the response before it has ended. If the connection closes first, this
  // request is no longer referenced.
  res.once('socket', () => setImmediate(next))
}

/** Only Node's own HTTP/1 server queues a response; others, and requests made in tests, may have no socket at all. */
function isQueued(req: Request, res: Response): boolean {
  return res.socket === null && req.httpVersionMajor < 2 && req.socket instanceof Socket && !req.socket.destroyed
}
