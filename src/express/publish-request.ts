import { isUtf8 } from 'node:buffer'
import type { Request } from 'express'
import type { NewEvent } from '../broker/broker.ts'
import { SseError } from '../errors.ts'
import { encodeNewEvent, parseIdempotencyKey } from '../hub/publisher.ts'
import { type DataText, encodeValue } from '../protocol/encode.ts'
import { queryOf } from '../stream/handshake.ts'
import { readBody } from './body.ts'

/** What a POST publishes. */
export interface PublishRequest {
  readonly events: readonly NewEvent[]
  /** It was sent as a batch, and is answered as one. */
  readonly batch: boolean
}

const ACCEPT_POST = 'application/json, text/plain, application/x-www-form-urlencoded, application/x-ndjson'
const MAX_BATCH = 1_000

type Form = 'json' | 'text' | 'form' | 'ndjson'

/** Reads the events of a POST to one channel. Rejects with what is wrong with the request; nothing is published then. */
export class PublishReader {
  readonly #maxBodyBytes: number
  readonly #maxEventBytes: number

  constructor(maxBodyBytes: number, maxEventBytes: number) {
    this.#maxBodyBytes = maxBodyBytes
    this.#maxEventBytes = maxEventBytes
  }

  async read(req: Request, channel: string): Promise<PublishRequest> {
    const form = mediaTypeOf(req)
    const key = idempotencyKeyOf(req)
    const query = queryOf(req)
    const event = only(query, 'event')
    const conflationKey = only(query, 'conflationKey')
    const body = await this.#body(req)
    const make = (data: DataText, type: string | undefined, idempotencyKey: string | undefined): NewEvent =>
      encodeNewEvent({ channel, data, event: type, conflationKey, idempotencyKey }, this.#maxEventBytes)

    if (form === 'ndjson') {
      const lines = text(body)
        .split('\n')
        .filter((line) => line.trim() !== '')
      if (lines.length === 0) throw malformed('The batch has no line.')
      if (lines.length > MAX_BATCH)
        throw new SseError('ERR_SSE_BATCH_TOO_LARGE', `A batch has at most ${MAX_BATCH} lines.`)
      const events = lines.map((line, i) =>
        // NUL is in no header, so the key of a line is the key of nothing else.
        make(
          encode(json(line, `Line ${i + 1}`), `Line ${i + 1}`),
          event,
          key === undefined ? undefined : `${key}\0${i}`,
        ),
      )
      return { events, batch: true }
    }
    if (form === 'form') {
      const fields = formFields(body)
      if (event !== undefined && fields.event !== undefined) {
        throw new SseError('ERR_SSE_EVENT_TYPE', 'The event type is given twice: in the query and in the form.')
      }
      return { events: [make({ text: fields.data, json: false }, event ?? fields.event, key)], batch: false }
    }
    return {
      events: [make(form === 'text' ? { text: text(body), json: false } : value(body), event, key)],
      batch: false,
    }
  }

  /** The body: bytes when nobody has read it, else what a parser in front has made of it. */
  async #body(req: Request): Promise<unknown> {
    // Never the shape of `req.body`: Express 4 makes an empty object of a body that it did not read.
    if (req.readableDidRead === false) return readBody(req, this.#maxBodyBytes)
    const body: unknown = req.body
    if (body === undefined) {
      throw new SseError(
        'ERR_SSE_BODY_CONSUMED',
        'The body was read before it came here, and req.body does not hold it. Mount the router before what reads it.',
      )
    }
    return body
  }
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
    throw unsupported(`The charset ${charset} is not utf-8.`)
  const encoding = req.headers['content-encoding']?.toLowerCase()
  if (encoding !== undefined && encoding !== 'identity' && req.readableDidRead === false) {
    throw unsupported('A body is sent as it is, without Content-Encoding.', { 'Accept-Encoding': 'identity' })
  }
  if (type === 'application/json' || /^application\/[^/ ]+\+json$/.test(type)) return 'json'
  if (type === 'text/plain') return 'text'
  if (type === 'application/x-www-form-urlencoded') return 'form'
  if (type === 'application/x-ndjson') return 'ndjson'
  if (type === 'multipart/form-data')
    throw unsupported('multipart/form-data is not taken: send URLSearchParams, JSON or text.')
  throw unsupported(`${type === '' ? 'A body without Content-Type' : `The content type ${type}`} is not taken.`)
}

function unsupported(detail: string, headers?: Record<string, string>): SseError {
  const hint = `${detail} Send one of: ${ACCEPT_POST}.`
  return new SseError('ERR_SSE_MEDIA_TYPE', hint, { headers: { 'Accept-Post': ACCEPT_POST, ...headers } })
}

/** draft-ietf-httpapi-idempotency-key-header: a quoted string; a bare token means the same. */
function idempotencyKeyOf(req: Request): string | undefined {
  const header = req.get('Idempotency-Key')
  if (header === undefined) return undefined
  if (!header.startsWith('"')) return parseIdempotencyKey(header)
  // RFC 9651 section 3.3.3. What is no such string, two of them for one, is no key.
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header)
  return parseIdempotencyKey(quoted?.[1]?.replaceAll(/\\(["\\])/g, '$1'))
}

function only(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length > 1) {
    const code = name === 'event' ? 'ERR_SSE_EVENT_TYPE' : 'ERR_SSE_CONFLATION_KEY'
    throw new SseError(code, `The query parameter ${name} is given ${values.length} times.`)
  }
  return values[0]
}

function formFields(body: unknown): { data: string; event: string | undefined } {
  const fields =
    typeof body === 'object' && body !== null && !Buffer.isBuffer(body)
      ? new Map(Object.entries(body).map(([name, value]) => [name, [value].flat()]))
      : groupFields(new URLSearchParams(text(body)))
  const data = fields.get('data')
  if (data?.length !== 1 || typeof data[0] !== 'string') {
    throw new SseError(
      'ERR_SSE_DATA_MISSING',
      'A form has the field data, once, and event if need be. To send JSON with curl use --json, or -H "Content-Type: application/json".',
    )
  }
  const event = fields.get('event')
  if (event !== undefined && event.length !== 1) {
    throw new SseError('ERR_SSE_EVENT_TYPE', `The form field event is given ${event.length} times.`)
  }
  return { data: data[0], event: event?.[0] as string | undefined }
}

function groupFields(fields: URLSearchParams): Map<string, unknown[]> {
  const grouped = new Map<string, unknown[]>()
  for (const [name, value] of fields) grouped.set(name, [...(grouped.get(name) ?? []), value])
  return grouped
}

/** The body as text. */
function text(body: unknown): string {
  if (typeof body === 'string') return body
  if (!Buffer.isBuffer(body)) {
    throw new SseError('ERR_SSE_BODY_CONSUMED', 'A parser in front has made something else than text of this body.')
  }
  if (!isUtf8(body)) throw malformed('The body is not UTF-8.')
  // Verbatim: a byte order mark at the start stays.
  return body.toString('utf8')
}

/** The value of a JSON body: as a parser in front has made it, else parsed here. */
function value(body: unknown): DataText {
  return encode(Buffer.isBuffer(body) ? json(text(body), 'The body') : body, 'The body')
}

/** What was read without recursion may be too deep to be written with it. */
function encode(value: unknown, what: string): DataText {
  try {
    return encodeValue(value)
  } catch (error) {
    throw error instanceof RangeError ? malformed(`${what} is nested too deep.`) : error
  }
}

function json(source: string, what: string): unknown {
  try {
    return JSON.parse(source)
  } catch {
    throw malformed(`${what} is not JSON.`)
  }
}

function malformed(detail: string): SseError {
  return new SseError('ERR_SSE_BODY_MALFORMED', detail)
}
