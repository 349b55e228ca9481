/** Why a stream, a subscription or a hub ended. */
export type CloseReason =
  /** The peer went away. */
  | 'client'
  /** The application closed it, or other code ended the response. */
  | 'server'
  /** The peer did not read: a buffer reached its limit, or there was no progress for too long. */
  | 'slow'
  /** Its time ended (`maxLifetimeMs`, `until`). */
  | 'expired'
  /** `hub.disconnect()` closed it. */
  | 'revoked'
  /** The hub is closing. */
  | 'shutdown'
  /** A source, a hook or the broker failed. */
  | 'error'

/** Every code with the HTTP status of its answer and the title of its problem document. */
const CODES = {
  ERR_SSE_BATCH_TOO_LARGE: [413, 'Batch too large'],
  ERR_SSE_BODY_CONSUMED: [500, 'Body already consumed'],
  ERR_SSE_BODY_MALFORMED: [400, 'Malformed body'],
  ERR_SSE_BODY_TIMEOUT: [408, 'Body too slow'],
  ERR_SSE_BODY_TOO_LARGE: [413, 'Body too large'],
  ERR_SSE_BROKER_UNAVAILABLE: [503, 'Broker unavailable'],
  ERR_SSE_CHANNEL_NAME: [400, 'Invalid channel name'],
  ERR_SSE_CHANNEL_REQUIRED: [400, 'Channel required'],
  ERR_SSE_CHANNEL_UNKNOWN: [404, 'Unknown channel'],
  ERR_SSE_CONFLATION_KEY: [400, 'Invalid conflation key'],
  ERR_SSE_CROSS_SITE: [403, 'Cross-site request refused'],
  ERR_SSE_DATA_INVALID: [422, 'Invalid data'],
  ERR_SSE_DATA_MISSING: [400, 'Data missing'],
  ERR_SSE_EVENT_ID: [400, 'Invalid event ID'],
  ERR_SSE_EVENT_TOO_LARGE: [413, 'Event too large'],
  ERR_SSE_EVENT_TYPE: [400, 'Invalid event type'],
  ERR_SSE_HEADERS_SENT: [500, 'Response already started'],
  ERR_SSE_HUB_CLOSED: [503, 'Hub closed'],
  ERR_SSE_IDEMPOTENCY_KEY: [400, 'Invalid idempotency key'],
  ERR_SSE_IDEMPOTENCY_MISMATCH: [422, 'Idempotency key reused'],
  ERR_SSE_ID_RESERVED: [500, 'Event IDs belong to the hub'],
  ERR_SSE_MEDIA_TYPE: [415, 'Unsupported media type'],
  ERR_SSE_METHOD_NOT_ALLOWED: [405, 'Method not allowed'],
  ERR_SSE_NOT_ACCEPTABLE: [406, 'Not acceptable'],
  ERR_SSE_OVERLOADED: [503, 'Overloaded'],
  ERR_SSE_PUBLISH_CLOSED: [403, 'Publishing is closed'],
  ERR_SSE_PUBLISH_FORBIDDEN: [403, 'Publishing refused'],
  ERR_SSE_PUBLISH_UNKNOWN: [503, 'Outcome unknown'],
  ERR_SSE_QUERY: [400, 'Invalid query parameter'],
  ERR_SSE_REWIND: [400, 'Invalid rewind'],
  ERR_SSE_SUBSCRIBED: [500, 'Stream already subscribed'],
  ERR_SSE_SUBSCRIBE_FORBIDDEN: [403, 'Subscribing refused'],
  ERR_SSE_TOO_MANY_CHANNELS: [400, 'Too many channels'],
} as const satisfies Record<string, readonly [status: number, title: string]>

/** The stable name of a failure. Each has a row with an anchor in the README. */
export type SseErrorCode = keyof typeof CODES

/** From `Symbol.for`, so that `isSseError` recognises errors of another copy of this package. */
const BRAND = Symbol.for('express-sse-hub.SseError')

/**
 * The only error class of this package. Express's error handlers read its fields `status`, `statusCode`, `expose` and
 * `headers`. `detail` is safe to show: it never contains an internal message.
 */
export class SseError extends Error {
  override readonly name = 'SseError'
  /** Stable and documented. Test the code, never the wording. */
  readonly code: SseErrorCode
  /** The HTTP status of the answer. */
  readonly status: number
  readonly statusCode: number
  readonly expose = true
  /** Short and the same for every error of this code. */
  readonly title: string
  /** The cause in this case, and how to fix it. */
  readonly detail: string
  /** The problems that a schema found, for ERR_SSE_DATA_INVALID. */
  readonly issues?: readonly { readonly message: string; readonly path: readonly string[] }[]
  /** Response headers that belong to the answer, such as `Retry-After` or `Allow`. */
  readonly headers?: Record<string, string>

  constructor(
    code: SseErrorCode,
    detail: string,
    options?: {
      cause?: unknown
      headers?: Record<string, string> | undefined
      status?: number | undefined
      issues?: SseError['issues']
    },
  ) {
    super(detail, options !== undefined && 'cause' in options ? { cause: options.cause } : undefined)
    const [status, title] = CODES[code]
    this.code = code
    this.title = title
    this.detail = detail
    this.status = this.statusCode = options?.status ?? status
    if (options?.headers !== undefined) this.headers = options.headers
    if (options?.issues !== undefined) this.issues = options.issues
    Object.defineProperty(this, BRAND, { value: true })
  }
}

/** Whether `error` is an `SseError`, from this or from another copy of the package. */
export function isSseError(error: unknown): error is SseError {
  return typeof error === 'object' && error !== null && BRAND in error
}
