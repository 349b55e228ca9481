import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import type { Request } from 'express'
import type { NewEvent } from '../broker/broker.ts'
import { SseError, type SseErrorCode } from '../errors.ts'
import { encodeNewEvent, MAX_BATCH_EVENTS, parseConflationKey, parseIdempotencyKey } from '../hub/publisher.ts'
import { type DataText, encodeValue } from '../protocol/encode.ts'
import { type BodyLimits, readBody } from './body.ts'
import { formOfObject, parseForm } from './form-fields.ts'
import { isJsonSpace, jsonData } from './json-text.ts'
import { queryValues } from './query.ts'

/** The content of a POST. */
export interface PublishRequest {
  readonly events: readonly NewEvent[]
  /** It was sent as a batch, so the answer is that of a batch. */
  readonly batch: boolean
}

const ACCEPT_POST = 'application/json, text/plain, application/x-www-form-urlencoded, application/x-ndjson'

const LINE_FEED = 0x0a

type Form = 'json' | 'text' | 'form' | 'ndjson'

/**
 * Reads the events of a POST to one channel. Rejects with the error of an invalid request; nothing is published then.
 */
export class PublishReader {
  readonly #body: BodyLimits
  readonly #maxEventBytes: number

  constructor(body: BodyLimits, maxEventBytes: number) {
    this.#body = body
    this.#maxEventBytes = maxEventBytes
  }

  async read(req: Request, channel: string): Promise<PublishRequest> {
    const form = mediaTypeOf(req)
    const key = idempotencyKeyOf(req)
    const type = only(req, 'event', 'ERR_SSE_EVENT_TYPE')
    const conflationKey = conflationKeyOf(req)
    const body = await this.#readBody(req)
    const make = (data: DataText, event: string | undefined, idempotencyKey: string | undefined, batch?: string) =>
      encodeNewEvent({ channel, data, event, conflationKey, idempotencyKey, batch }, this.#maxEventBytes)

    if (form === 'ndjson') {
      const values = batchOf(withoutMark(bytesOf(body)))
      // The key names the whole batch: the same line in another batch is a different payload.
      const batch = key === undefined ? undefined : digestOf(values)
      const lineKey = (i: number) => (key === undefined ? undefined : `${key}\0${i}`)
      return { events: values.map((value, i) => make(value, type, lineKey(i), batch)), batch: true }
    }
    if (form === 'form') {
      const fields = isParsed(body) ? formOfObject(body) : parseForm(withoutMark(bytesOf(body)).toString())
      if (type !== undefined && fields.event !== undefined) {
        throw new SseError('ERR_SSE_EVENT_TYPE', 'The event type is given twice: in the query and in the form.')
      }
      return { events: [make({ text: fields.data, json: false }, type ?? fields.event, key)], batch: false }
    }
    const data = form === 'text' ? { text: bytesOf(body).toString(), json: false } : value(body)
    return { events: [make(data, type, key)], batch: false }
  }

  /** The body: bytes if it is unread, otherwise the value that an earlier body parser made. */
  async #readBody(req: Request): Promise<unknown> {
    // `req.body` decides nothing: Express 4 sets an empty object for an unread body.
    if (req.readableDidRead === false) return readBody(req, this.#body)
    const body: unknown = req.body
    if (body === undefined) {
      throw new SseError(
        'ERR_SSE_BODY_CONSUMED',
        'Other code read the body before this router, and req.body does not hold it. Mount the router before that code.',
      )
    }
    return Buffer.isBuffer(body) ? Buffer.from(body) : body
  }
}

/** The values of a batch, one JSON text a line; blank lines are skipped. Stops at the first line too many. */
function batchOf(bytes: Buffer): DataText[] {
  const values: DataText[] = []
  let line = 1
  for (let from = 0; from < bytes.length; from++) {
    // Skips white space before a value, and blank lines, without a copy.
    if (bytes[from] === LINE_FEED) line++
    if (isJsonSpace(bytes[from]!)) continue
    if (values.length === MAX_BATCH_EVENTS) {
      throw new SseError('ERR_SSE_BATCH_TOO_LARGE', `A batch must have at most ${MAX_BATCH_EVENTS} lines.`)
    }
    const at = bytes.indexOf(LINE_FEED, from)
    const to = at === -1 ? bytes.length : at
    values.push(jsonData(bytes.subarray(from, to), `Line ${line}`))
    line++
    from = to
  }
  if (values.length === 0) throw malformed('The batch has no line.')
  return values
}

function digestOf(values: readonly DataText[]): string {
  const hash = createHash('sha256')
  for (const { text, json } of values) hash.update(`${json}\n${text}\n`)
  return hash.digest('base64')
}

function mediaTypeOf(req: Request): Form {
  const [type = '', ...parameters] = (req.headers['content-type'] ?? '')
    .split(';')
    .map((part) => part.trim().toLowerCase())
  const charset = parameters
    .find((parameter) => parameter.startsWith('charset='))
    ?.slice(8)
    .replaceAll('"', '')
  if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8')
    throw unsupported(`The charset must be utf-8, got ${charset}.`)
  const encoding = req.headers['content-encoding']?.toLowerCase()
  if (encoding !== undefined && encoding !== 'identity' && req.readableDidRead === false) {
    throw unsupported('Content-Encoding is not supported: send the body as it is.', { 'Accept-Encoding': 'identity' })
  }
  if (type === 'application/json' || /^application\/[^/ ]+\+json$/.test(type)) return 'json'
  if (type === 'text/plain') return 'text'
  if (type === 'application/x-www-form-urlencoded') return 'form'
  if (type === 'application/x-ndjson') return 'ndjson'
  if (type === 'multipart/form-data')
    throw unsupported('multipart/form-data is not supported: send URLSearchParams, JSON or text.')
  throw unsupported(`${type === '' ? 'A body without Content-Type' : `The content type ${type}`} is not supported.`)
}

function unsupported(detail: string, headers?: Record<string, string>): SseError {
  const hint = `${detail} Send one of: ${ACCEPT_POST}.`
  return new SseError('ERR_SSE_MEDIA_TYPE', hint, { headers: { 'Accept-Post': ACCEPT_POST, ...headers } })
}

/**
 * The prefix of keys from requests. A key of the application cannot begin with it: a visitor must not be able to repeat
 * or replace events that the application publishes.
 */
const FROM_HTTP = '\0'

/** draft-ietf-httpapi-idempotency-key-header: a quoted string; a bare token means the same. */
function idempotencyKeyOf(req: Request): string | undefined {
  const header = req.get('Idempotency-Key')
  if (header === undefined) return undefined
  // RFC 9651 section 3.3.3. Any other quoted text, such as two strings for one, is not a key.
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header)
  const key = header.startsWith('"') ? quoted?.[1]?.replaceAll(/\\(["\\])/g, '$1') : header
  return FROM_HTTP + parseIdempotencyKey(key)
}

function conflationKeyOf(req: Request): string | undefined {
  const key = only(req, 'conflationKey', 'ERR_SSE_CONFLATION_KEY')
  return key === undefined ? undefined : FROM_HTTP + parseConflationKey(key)
}

function only(req: Request, name: string, code: SseErrorCode): string | undefined {
  const values = queryValues(req, name, code)
  if (values.length > 1) throw new SseError(code, `The query parameter ${name} is given ${values.length} times.`)
  return values[0]
}

function isParsed(body: unknown): body is object {
  return typeof body === 'object' && body !== null && !Buffer.isBuffer(body)
}

/** The body as bytes of UTF-8. A value of an earlier body parser is copied: it must not be changed. */
function bytesOf(body: unknown): Buffer {
  if (typeof body === 'string') return Buffer.from(body)
  if (!Buffer.isBuffer(body)) {
    throw new SseError(
      'ERR_SSE_BODY_CONSUMED',
      'Another body parser already parsed this body into something other than text.',
    )
  }
  if (!isUtf8(body)) throw malformed('The body is not UTF-8.')
  return body
}

/** A byte-order mark before the text does not belong to it. */
function withoutMark(bytes: Buffer): Buffer {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes
}

/** The value of a JSON body: its own text, or the text of the value that an earlier body parser made. */
function value(body: unknown): DataText {
  if (Buffer.isBuffer(body)) return jsonData(withoutMark(bytesOf(body)), 'The body')
  try {
    return encodeValue(body)
  } catch (error) {
    // A value that was read without recursion may be too deep to be written with it.
    throw error instanceof RangeError ? malformed('The body is nested too deep.') : error
  }
}

function malformed(detail: string): SseError {
  return new SseError('ERR_SSE_BODY_MALFORMED', detail)
}
