import type { EventId, EventType, ReconnectionTime } from './fields.ts'

// Text of an event stream. Every piece ends with a line feed, and an event with its blank line, so pieces can be
// written one after the other in any order.
// [spec] https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

/** [spec] end-of-line = ( cr lf / cr / lf ). Nothing else ends a line, not even U+2028. */
const END_OF_LINE = /\r\n|\r|\n/
const MAY_END_LINE = /[\r\n]/

/** One line for each line of `text`. A single space after the colon belongs to the field, so leading spaces survive. */
function lines(name: 'data' | '', text: string): string {
  if (!MAY_END_LINE.test(text)) return `${name}: ${text}\n`
  let out = ''
  for (const line of text.split(END_OF_LINE)) out += `${name}: ${line}\n`
  return out
}

/**
 * The block of an event without its `id` line: `event`, `data`, and the blank line that dispatches it. The caller puts
 * `id: …` in front. Empty data is still a `data` line: [spec] #dispatchMessage drops an event without one.
 */
export function encodeFields(event: EventType | undefined, data: string): string {
  return `${event === undefined ? '' : `event: ${event}\n`}${lines('data', data)}\n`
}

/** The `id` line that goes before the fields of an event. */
export function encodeId(id: EventId | string): string {
  return `id: ${id}\n`
}

/** A comment, which clients skip. It has no blank line: some clients take a blank line for an empty event. */
export function encodeComment(text: string): string {
  return text === '' ? ':\n' : lines('', text)
}

/** The `retry` line. [spec] It takes effect on its own, without a blank line. */
export function encodeReconnectionTime(ms: ReconnectionTime): string {
  return `retry: ${ms}\n`
}

/** The data of an event in envelope form, which names the channel of each event on a stream with several channels. */
export function encodeEnvelope(channel: string, event: string | undefined, data: string, json: boolean): string {
  const type = event === undefined ? '' : `,"event":${JSON.stringify(event)}`
  return `{"channel":${JSON.stringify(channel)}${type},"data":${json ? data : JSON.stringify(data)}}`
}

/** The `data` of an event as text, and whether that text is JSON. */
export interface DataText {
  text: string
  json: boolean
}

/**
 * A value as the text of `data`: a string as it is, anything else as JSON. Throws a TypeError for values that JSON
 * would drop or distort silently: `undefined`, functions, symbols, BigInt, cycles, Map, Set, and bytes.
 */
export function encodeValue(value: unknown): DataText {
  // A lone surrogate has no UTF-8. It is replaced here, once, so that every form and every broker has the same text.
  if (typeof value === 'string') return { text: value.toWellFormed(), json: false }
  if (value instanceof Map || value instanceof Set) {
    throw new TypeError(
      'Event data must not be a Map or a Set: JSON would drop its entries. Send an array or an object.',
    )
  }
  if (typeof (value as { then?: unknown } | null | undefined)?.then === 'function') {
    throw new TypeError('Event data must not be a promise: await it first.')
  }
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) {
    throw new TypeError(
      "Event data must not be bytes: an event stream is text. Send a string, or set encoding: 'base64'.",
    )
  }
  const text = JSON.stringify(value)
  if (text === undefined) throw new TypeError(`Event data must not be ${describe(value)}: JSON has no text for it.`)
  return { text, json: true }
}

function describe(value: unknown): string {
  if (value === undefined) return 'undefined'
  return typeof value === 'object' ? 'an object whose toJSON() returns undefined' : `a ${typeof value}`
}
