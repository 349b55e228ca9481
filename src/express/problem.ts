import type { ServerResponse } from 'node:http'
import type { ErrorRequestHandler } from 'express'
import { isSseError, type SseError, type SseErrorCode } from '../errors.ts'
import { closedFrame } from '../hub/notice.ts'
import { namesEventStream, sendHead } from '../stream/handshake.ts'

// The HTTP form of every refusal is made here, and only here.

/** The README has an anchor for each code. */
const README = 'https://www.npmjs.com/package/express-sse-hub'

/** The broker's own text is for the operator: it may mention the disk. */
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
  // Random, so that clients that were refused together do not return together.
  if (status === 503) res.setHeader('Retry-After', 2 + Math.floor(Math.random() * 4))
  for (const [name, value] of Object.entries(headers ?? {})) res.setHeader(name, value)
  res.setHeader('Content-Type', 'application/problem+json; charset=utf-8')
  res.setHeader('Content-Length', Buffer.byteLength(body))
  res.setHeader('Cache-Control', 'no-store')
  res.end(res.req.method === 'HEAD' ? undefined : body)
}

/**
 * Error middleware that answers every `SseError` as a problem document and passes all other errors on. For your own
 * routes; the routers of a hub do not need it.
 */
export function problemHandler(): ErrorRequestHandler {
  return (error, _req, res, next) => {
    if (isSseError(error) && !res.headersSent) sendProblem(res, error)
    else next(error)
  }
}

/** Whether the refusal is temporary: the client should try again. */
export function isOverload(error: SseError): boolean {
  return error.status === 503
}

/**
 * Answers a request for a stream that cannot be served now. An EventSource gives up permanently on any error status. So
 * a request that names the media type of event streams gets an empty stream with a reconnection time; any other request
 * gets the status 503.
 */
export function sendOverload(res: ServerResponse, retryMs: number, error: SseError): void {
  const { req } = res
  if (!namesEventStream(req)) return sendProblem(res, error)
  sendHead(req, res)
  res.end(req.method === 'HEAD' ? undefined : closedFrame('overloaded', retryMs).bytes)
}
