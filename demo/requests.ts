import type { RequestHandler } from 'express'
import type { RequestLine } from './channels.ts'

/** Hands every request to `publish` when its answer is over: a stream when it ends, a cut one as well. */
export function logRequests(publish: (line: RequestLine) => void): RequestHandler {
  return (req, res, next) => {
    const start = performance.now()
    const path = req.path.slice(0, 200)
    res.once('close', () => {
      const ms = Math.round((performance.now() - start) * 10) / 10
      const status = res.headersSent ? res.statusCode : null
      publish({ at: new Date().toISOString(), method: req.method, path, status, ms })
    })
    next()
  }
}
