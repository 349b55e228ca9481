import { Socket } from 'node:net'
import type { NextFunction, Request, Response } from 'express'

/**
 * Middleware that keeps the requests of a pipeline waiting until it is their turn to be answered, and takes at most one of
 * them per connection and turn of the event loop. A client may send thousands of requests in one packet: without this
 * they would all be served before the next packet of anybody else, and each stream among them would hold a subscription
 * that nothing can be written to.
 */
export function inTurn(req: Request, res: Response, next: NextFunction): void {
  if (!isQueued(req, res)) return next()
  // [node] ServerResponse emits 'socket' when the response before it has ended. If the connection closes first, nothing
  // refers to this request any more.
  res.once('socket', () => setImmediate(next))
}

/** Only Node's own HTTP/1 server queues a response; others, and requests made in tests, may have no socket at all. */
function isQueued(req: Request, res: Response): boolean {
  return res.socket === null && req.httpVersionMajor < 2 && req.socket instanceof Socket && !req.socket.destroyed
}
