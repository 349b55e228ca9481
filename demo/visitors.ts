import type { Socket } from 'node:net'
import type { Request, RequestHandler } from 'express'

/** A page identifies itself by a secret random word. */
export function visitorOf(req: Request): string | undefined {
  const { visitor } = req.query
  return typeof visitor === 'string' && /^[0-9a-z]{16,64}$/.test(visitor) ? visitor : undefined
}

/** Enough to distinguish visitors in a public log, and not enough to act as one of them. */
export function shortName(visitor: unknown): string {
  return typeof visitor === 'string' ? `visitor ${visitor.slice(0, 4)}` : 'a visitor'
}

/** The connection of each visitor with a stream. */
export class Visitors {
  readonly #sockets = new Map<string, Socket>()

  /** Before the route that streams. */
  readonly remember: RequestHandler = (req, res, next) => {
    const visitor = visitorOf(req)
    if (visitor !== undefined) {
      const { socket } = req
      this.#sockets.set(visitor, socket)
      res.once('close', () => {
        // It may have reconnected before its old connection was noticed to be gone.
        if (this.#sockets.get(visitor) === socket) this.#sockets.delete(visitor)
      })
    }
    next()
  }

  socketOf(visitor: string | undefined): Socket | undefined {
    return visitor === undefined ? undefined : this.#sockets.get(visitor)
  }
}
