import type { IncomingMessage } from 'node:http'
import type { Clock } from '../clock.ts'
import { SseError } from '../errors.ts'

/** Bounds of a body. */
export interface BodyLimits {
  readonly maxBytes: number
  /** Milliseconds until the whole body must have arrived; 0 = no limit. */
  readonly timeoutMs: number
  readonly clock: Clock
}

const FIRST_BYTES = 4_096

/**
 * The body of a request as bytes. Rejects with ERR_SSE_BODY_TOO_LARGE as soon as there are more than `maxBytes`, with
 * ERR_SSE_BODY_TIMEOUT if it takes too long, and with ERR_SSE_BODY_MALFORMED if the request ends before its body.
 *
 * The caller decodes the bytes strictly, while Express's text parsers replace malformed text. A length in the headers
 * does not matter, because HTTP/2 may omit it. The bytes are copied into one growing buffer: a body in chunks of one
 * byte would otherwise need 258 bytes for each.
 */
export function readBody(req: IncomingMessage, { maxBytes, timeoutMs, clock }: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let buffer = Buffer.alloc(0)
    let length = 0
    let timer: unknown
    const onEnd = () => {
      clock.clearTimeout(timer)
      // 'close' follows. The other listeners are no longer called, and are released with the request.
      req.off('close', onCut)
      resolve(buffer.subarray(0, length))
    }
    const fail = (error: SseError) => {
      clock.clearTimeout(timer)
      req.off('data', onData).off('end', onEnd).off('error', onCut).off('close', onCut)
      dropBody(req)
      reject(error)
    }
    const onData = (chunk: Buffer) => {
      if (length + chunk.length > maxBytes) return fail(tooLarge(maxBytes))
      if (length + chunk.length > buffer.length) {
        const larger = Buffer.allocUnsafe(Math.max(FIRST_BYTES, 2 * buffer.length, length + chunk.length))
        buffer.copy(larger, 0, 0, length)
        buffer = larger
      }
      length += chunk.copy(buffer, length)
    }
    const onCut = () => fail(new SseError('ERR_SSE_BODY_MALFORMED', 'The request ended before its body.'))
    if (Number(req.headers['content-length']) > maxBytes) return fail(tooLarge(maxBytes))
    // A middleware reached the end of an empty body, which does not count as reading it.
    if (req.readableEnded) return onEnd()
    if (req.destroyed) return onCut()
    if (timeoutMs > 0) timer = clock.setTimeout(() => fail(tooSlow(req, timeoutMs)), timeoutMs)
    req.on('data', onData).on('end', onEnd).on('error', onCut).on('close', onCut)
  })
}

/**
 * Reads and drops the rest of a body, so that the peer can read the answer, and the connection can serve its next
 * request.
 */
export function dropBody(req: IncomingMessage): void {
  req.on('error', () => {}).resume()
}

/** Whether the request has a body that nothing has begun to read. */
export function hasUnreadBody(req: IncomingMessage): boolean {
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers
  return (coding !== undefined || (length !== undefined && length !== '0')) && !req.readableDidRead
}

function tooLarge(maxBytes: number): SseError {
  return new SseError('ERR_SSE_BODY_TOO_LARGE', `A body must have at most ${maxBytes} bytes (maxBodyBytes).`)
}

function tooSlow(req: IncomingMessage, timeoutMs: number): SseError {
  const detail = `The body did not arrive within ${timeoutMs} ms (bodyTimeoutMs).`
  // The rest of the body would keep the connection busy. HTTP/2 has no such header, and ends only this stream.
  const headers = req.httpVersionMajor < 2 ? { Connection: 'close' } : undefined
  return new SseError('ERR_SSE_BODY_TIMEOUT', detail, { headers })
}
