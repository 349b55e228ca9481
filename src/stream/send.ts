import { choiceOption, optionsObject } from '../option.ts'
import { encodeEnvelope, encodeFields, encodeId, encodeReconnectionTime, encodeValue } from '../protocol/encode.ts'
import { parseEventId, parseEventType, parseReconnectionTime } from '../protocol/fields.ts'
import type { FrameForm } from '../protocol/frame.ts'

/** Options of `send`. */
export interface SendOptions {
  /**
   * The event type. Default: none, which a browser passes to `onmessage`. Not `open`, `error`, `hub.*`; no CR, LF, NUL.
   */
  event?: string | undefined
  /** The event ID: 1–128 characters of printable ASCII without spaces. The client sends it back when it reconnects. */
  id?: string | undefined
  /** A reconnection time in whole milliseconds, clamped to 500 – 3,600,000. */
  retry?: number | undefined
  /** `'base64'`: the data are bytes, sent as base64 text. */
  encoding?: 'base64' | undefined
}

const NAMES = ['event', 'id', 'retry', 'encoding'] as const

/** The block of one event. Throws the error of an invalid argument. */
export function encodeSend(data: unknown, given: SendOptions | undefined, form: FrameForm = 'plain'): string {
  if (given === undefined && form === 'plain') return encodeFields(undefined, encodeValue(data).text)
  const { event, id, retry, encoding } = optionsObject('send()', given, NAMES)
  const type = event === undefined ? undefined : parseEventType(event)
  let head = ''
  if (retry !== undefined) head += encodeReconnectionTime(parseReconnectionTime(retry))
  if (id !== undefined) head += encodeId(parseEventId(id))
  const value = encoding === undefined ? encodeValue(data) : { text: encodeBytes(data, encoding), json: false }
  if (form === 'plain') return head + encodeFields(type, value.text)
  // A client that unwraps every event must not take the application's own data for an envelope. It has no channel.
  return head + encodeFields(undefined, encodeEnvelope('', type, value.text, value.json))
}

function encodeBytes(data: unknown, encoding: 'base64'): string {
  choiceOption('encoding', encoding, 'base64', ['base64'])
  if (data instanceof ArrayBuffer) return Buffer.from(data).toString('base64')
  if (ArrayBuffer.isView(data)) return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64')
  throw new TypeError("Event data must be bytes with encoding: 'base64'.")
}
