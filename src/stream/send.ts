import { encodeFields, encodeId, encodeReconnectionTime, encodeValue } from '../protocol/encode.ts'
import { parseEventId, parseEventType, parseReconnectionTime } from '../protocol/fields.ts'

/** Options of `send`. */
export interface SendOptions {
  /** The event type. Default: none, which a browser hands to `onmessage`. Not `open`, `error`, `hub.*`; no CR, LF, NUL. */
  event?: string | undefined
  /** The event ID: 1–128 characters of printable ASCII without spaces. The client sends it back when it reconnects. */
  id?: string | undefined
  /** A reconnection time in whole milliseconds, clamped to 500 – 3 600 000. */
  retry?: number | undefined
  /** `'base64'`: the data are bytes, sent as base64 text. */
  encoding?: 'base64' | undefined
}

/** The block of one event. Throws what is wrong with it. */
export function encodeSend(data: unknown, options: SendOptions): string {
  const { event, id, retry, encoding } = options
  const type = event === undefined ? undefined : parseEventType(event)
  let head = ''
  if (retry !== undefined) head += encodeReconnectionTime(parseReconnectionTime(retry))
  if (id !== undefined) head += encodeId(parseEventId(id))
  return head + encodeFields(type, encoding === undefined ? encodeValue(data).text : encodeBytes(data, options))
}

function encodeBytes(data: unknown, { encoding }: SendOptions): string {
  if (encoding !== 'base64') throw new TypeError("The option encoding is 'base64'.")
  if (data instanceof ArrayBuffer) return Buffer.from(data).toString('base64')
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')
  throw new TypeError("With encoding: 'base64' the data are bytes.")
}
