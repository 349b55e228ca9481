import type { ServerResponse } from 'node:http'
import type { ErrorRequestHandler } from 'express'
import { isSseError, type SseError, type SseErrorCode } from '../errors.ts'
import { closedFrame } from '../hub/notice.ts'
import { namesEventStream, sendHead } from '../stream/handshake.ts'

// Every answer to a request that is refused: here an error gets its HTTP form, and nowhere else.

/** The README has an anchor for each code. */
const README = 'https://www.npmjs.com/package/express-sse-hub'

/** What the broker says of its trouble is for the operator: it may speak of the disk. */
const INTERNAL: Partial<Record<SseErrorCode, string>> = {
  ERR_SSE_BROKER_UNAVAILABLE: 'The log is not available now: try again later.',
  ERR_SSE_PUBLISH_UNKNOWN: 'The event may have been published or not: retry with the same key.',
}

/** Answers with an RFC 9457 problem document. The response must not have begun. */
export function sendProblem(res: ServerResponse, error: SseError): void {
  const { code, title, status, headers, issues } = error
  const detail = INTERNAL[code] ?? error.detail
  const body = JSON.stringify({ type: `${README}#${code.toLowerCase()}`, title, status, code, detail, issues })
  res.statusCode = status
  // Random, so that those who were refused together do not come back together.
  if (status === 503) res.setHeader('Retry-After', 2 + Math.floor(Math.random() * 4))
  for (const [name, value] of Object.entries(headers ?? {})) res.setHeader(name, value)
  res.setHeader('Content-Type', 'application/problem+json; charset=utf-8')
  res.setHeader('Content-Length', Buffer.byteLength(body))
  res.setHeader('Cache-Control', 'no-store')
  res.end(res.req.method === 'HEAD' ? undefined : body)
}

/**
 * Error middleware that answers every `SseError` as a problem document and leaves all others to the next one. For
 * routes of your own; the routers of a hub need none.
 */
export function problemHandler(): ErrorRequestHandler {
  return (error, _req, res, next) => {
    if (isSseError(error) && !res.headersSent) sendProblem(res, error)
    else next(error)
  }
}

/** Whether a refusal is one that passes: a client should come back. */
export function isOverload(error: SseError): boolean {
  return error.status === 503
}

/**
 * Answers a request for a stream that cannot be served now. An EventSource gives up for good on any error status, so
 * one that asks for an event stream by name gets an empty one that tells it when to come back; everybody else gets the
 * 503 that it is.
 */
export function sendOverload(res: ServerResponse, retryMs: number, error: SseError): void {
  const { req } = res
  if (!namesEventStream(req)) return sendProblem(res, error)
  sendHead(req, res)
  res.end(req.method === 'HEAD' ? undefined : closedFrame('overloaded', retryMs).bytes)
}
