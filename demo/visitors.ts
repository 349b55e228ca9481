import type { Socket } from 'node:net'
import type { Request, RequestHandler } from 'express'

/** A page names itself by a random word of its own: who knows it is the page. */
export function visitorOf(req: Request): string | undefined {
  const { visitor } = req.query
  return typeof visitor === 'string' && /^[0-9a-z]{16,64}$/.test(visitor) ? visitor : undefined
}

/** Enough to tell visitors apart in a log that everybody reads, and not enough to be one of them. */
export function shortName(visitor: unknown): string {
  return typeof visitor === 'string' ? `visitor ${visitor.slice(0, 4)}` : 'a visitor'
}

/** The connection of each visitor who has a stream. */
export class Visitors {
  readonly #sockets = new Map<string, Socket>()

  /** Before the route that streams. */
  readonly remember: RequestHandler = (req, res, next) => {
    const visitor = visitorOf(req)
    if (visitor !== undefined) {
      const { socket } = req
      this.#sockets.set(visitor, socket)
      res.once('close', () => {
        // It may have come back before its old connection was found to be gone.
        if (this.#sockets.get(visitor) === socket) this.#sockets.delete(visitor)
      })
    }
    next()
  }

  socketOf(visitor: string | undefined): Socket | undefined {
    return visitor === undefined ? undefined : this.#sockets.get(visitor)
  }
}
