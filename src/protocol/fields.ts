import { SseError } from '../errors.ts'

// Values that were checked once and can be written to the wire as they are. Only the parse functions make them, so a
// line break in a field, which would start another field, cannot pass the type checker.
// [spec] https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream

declare const valid: unique symbol

/** The value of an `id` field. */
export type EventId = string & { readonly [valid]: 'EventId' }
/** The value of an `event` field. */
export type EventType = string & { readonly [valid]: 'EventType' }
/** The value of a `retry` field in milliseconds. */
export type ReconnectionTime = number & { readonly [valid]: 'ReconnectionTime' }

/** Event types with this prefix belong to the hub. */
export const RESERVED_PREFIX = 'hub.'

/**
 * An event ID: 1–128 characters of printable ASCII without the space. Otherwise throws ERR_SSE_EVENT_ID.
 *
 * [spec] #the-last-event-id-header: the client sends the ID back as a request header. A character that a header cannot
 * carry (a control character, an outer space, anything beyond Latin-1) would permanently stop the reconnection of some
 * clients.
 */
export function parseEventId(value: unknown): EventId {
  if (typeof value === 'string' && /^[\x21-\x7e]{1,128}$/.test(value)) return value as EventId
  throw new SseError('ERR_SSE_EVENT_ID', 'An event ID (id) must be 1-128 characters of printable ASCII without spaces.')
}

/**
 * An event type: any text without CR, LF and NUL. `open` and `error` are refused because a browser fires events with
 * these names on its own, and `hub.…` because it belongs to the hub. Otherwise throws ERR_SSE_EVENT_TYPE.
 */
export function parseEventType(value: unknown): EventType {
  if (typeof value !== 'string' || value === '' || /[\r\n\0]/.test(value) || !value.isWellFormed()) {
    throw new SseError(
      'ERR_SSE_EVENT_TYPE',
      'An event type (event) must be a non-empty, well-formed text without CR, LF and NUL.',
    )
  }
  if (value === 'open' || value === 'error' || value.startsWith(RESERVED_PREFIX)) {
    throw new SseError('ERR_SSE_EVENT_TYPE', 'The event types (event) open, error and hub.* are reserved.')
  }
  return value as EventType
}

const MIN_RECONNECTION_TIME = 500
const MAX_RECONNECTION_TIME = 3_600_000

/**
 * A reconnection time in whole milliseconds, clamped to 500 ms – 1 hour: at 0 some browsers reconnect in a hot loop.
 * Throws a TypeError for anything but an integer, which clients would ignore.
 */
export function parseReconnectionTime(ms: unknown): ReconnectionTime {
  if (!Number.isSafeInteger(ms))
    throw new TypeError('A reconnection time (retry) must be a whole number of milliseconds.')
  return Math.min(Math.max(ms as number, MIN_RECONNECTION_TIME), MAX_RECONNECTION_TIME) as ReconnectionTime
}

/**
 * A reconnection time between `base` and twice that, so that clients that were cut together do not reconnect together.
 */
export function randomReconnectionTime(base: number, spread = base): ReconnectionTime {
  return parseReconnectionTime(base + Math.floor(Math.random() * spread))
}
