import type { IncomingMessage } from 'node:http'
import { SseError } from '../errors.ts'

/**
 * The body of a request as its bytes. Rejects with ERR_SSE_BODY_TOO_LARGE as soon as there are more than `maxBytes`,
 * and with ERR_SSE_BODY_MALFORMED when the request ends before its body.
 *
 * The bytes, because their text is decoded strictly here, where Express's text parsers replace what is malformed; and
 * whatever the headers say of a length, because HTTP/2 need not say it.
 */
export function readBody(req: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let length = 0
    const onEnd = () => {
      // 'close' follows; the other listeners are called no more and go with the request.
      req.off('close', onCut)
      resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length))
    }
    const fail = (error: SseError) => {
      req.off('data', onData).off('end', onEnd).off('error', onCut).off('close', onCut)
      // What is still to come is read and dropped, so that the peer gets to read the answer.
      req.on('error', () => {}).resume()
      reject(error)
    }
    const onData = (chunk: Buffer) => {
      length += chunk.length
      if (length > maxBytes) fail(tooLarge(maxBytes))
      else chunks.push(chunk)
    }
    const onCut = () => fail(new SseError('ERR_SSE_BODY_MALFORMED', 'The request ended before its body.'))
    if (Number(req.headers['content-length']) > maxBytes) return fail(tooLarge(maxBytes))
    // Somebody in front came to the end of a body of no bytes, which does not count as having read it.
    if (req.readableEnded) return onEnd()
    if (req.destroyed) return onCut()
    req.on('data', onData).on('end', onEnd).on('error', onCut).on('close', onCut)
  })
}

function tooLarge(maxBytes: number): SseError {
  return new SseError('ERR_SSE_BODY_TOO_LARGE', `A body has at most ${maxBytes} bytes (maxBodyBytes).`)
}
