import type { IncomingMessage, ServerResponse } from 'node:http'
import { isWaiting } from './pipeline.ts'

/** The media ranges of a request that include event streams. */
const MEDIA_TYPES = ['text/event-stream', 'text/*', '*/*'] as const

/**
 * Whether `Accept` allows an event stream. RFC 9110 section 12.5.1: no header allows everything; the most specific
 * range decides; a weight of 0 excludes.
 */
export function acceptsEventStream(req: IncomingMessage): boolean {
  const accept = req.headers.accept
  if (accept === undefined || accept === 'text/event-stream' || accept.trim() === '') return true
  const ranges = parseAccept(accept)
  for (const type of MEDIA_TYPES) {
    const weight = ranges.get(type)
    if (weight !== undefined) return weight > 0
  }
  return false
}

/** Whether the request names the media type of event streams, as EventSource does, and not only a wildcard. */
export function namesEventStream(req: IncomingMessage): boolean {
  return (parseAccept(req.headers.accept ?? '').get('text/event-stream') ?? 0) > 0
}

/** The media ranges of `Accept` with their weights. */
export function parseAccept(accept: string): Map<string, number> {
  const ranges = new Map<string, number>()
  for (const range of accept.toLowerCase().split(',')) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim())
    const weight = Number(parameters.find((parameter) => parameter.startsWith('q='))?.slice(2) ?? 1)
    ranges.set(type, Math.max(ranges.get(type) ?? 0, Number.isNaN(weight) ? 0 : weight))
  }
  return ranges
}

const NO_QUERY: URLSearchParams = new URLSearchParams()

/**
 * The query of the request, read-only, from the URL itself: an application may have switched off Express's query
 * parser.
 */
export function queryOf(req: IncomingMessage): URLSearchParams {
  // Not `originalUrl`: an earlier middleware may have rewritten the URL.
  const url = req.url ?? ''
  const at = url.indexOf('?')
  return at === -1 ? NO_QUERY : new URLSearchParams(url.slice(at + 1))
}

/**
 * The last event ID of the client: the header, else the query parameter `lastEventId`; `''` if both are absent.
 *
 * [spec] #the-last-event-id-header: the value is UTF-8, which Node delivers as Latin-1. Node joins a repeated header
 * with a comma, so it is not a valid ID, rather than one of the two.
 */
export function lastEventIdOf(req: IncomingMessage): string {
  const header = req.headers['last-event-id']
  if (header !== undefined && header !== '') return Buffer.from(String(header), 'latin1').toString('utf8')
  return queryOf(req).getAll('lastEventId').join(', ')
}

/** Headers that would be wrong for an endless body. */
const UNTRUE = new Set(['content-length', 'etag', 'content-encoding'])

/**
 * Sends the head of an event stream. Headers of the application stay (cookies, CORS, its own), except those that would
 * be wrong for an endless body.
 */
export function sendHead(req: IncomingMessage, res: ServerResponse): void {
  for (const name of res.getHeaderNames()) if (UNTRUE.has(name)) res.removeHeader(name)
  // no-transform keeps compressing middleware and proxies from delaying events. RFC 9111 section 5.2.2.7: a response to
  // a request with credentials is private.
  const mine = req.headers.cookie !== undefined || req.headers.authorization !== undefined
  // [spec] #dom-eventsource: any other status, or any other type, fails the connection permanently.
  res.writeHead(200, {
    'Content-Type': 'text/event-stream',
    'Cache-Control': mine ? 'private, no-cache, no-transform' : 'no-cache, no-transform',
    // nginx and proxies with the same rule delay the whole response without this.
    'X-Accel-Buffering': 'no',
  })
  // Node adds `Connection` itself on HTTP/1; on HTTP/2 it is not allowed (RFC 9113 section 8.2.2).
  res.flushHeaders()
}

/** [spec] #sse-processing-model: 204 is the only answer that tells a client not to reconnect without being an error. */
export function sendNoContent(res: ServerResponse): void {
  // RFC 9110 section 8.6: a 204 has no Content-Length.
  res.removeHeader('Content-Length')
  res.statusCode = 204
  res.end()
}

/** Whether the response has closed already. Over HTTP/2 only its stream knows. */
export function isOver(
  req: IncomingMessage,
  res: ServerResponse & { stream?: { readonly destroyed: boolean } },
): boolean {
  if (res.destroyed || res.closed) return true
  if (req.httpVersionMajor > 1) return res.stream?.destroyed === true
  return isWaiting(res) && req.socket.destroyed
}
