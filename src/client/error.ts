/** The failures of a connection. */
export type ConnectionErrorCode =
  /** The request failed, or the stream was cut. */
  | 'ERR_SSE_NETWORK'
  /** No answer within `connectTimeoutMs`, or not a byte for `silenceMs`. */
  | 'ERR_SSE_TIMEOUT'
  /**
   * The answer has a status other than 200. 408, 425, 429 and 5xx are temporary; any other is final until the
   * connection has worked.
   */
  | 'ERR_SSE_STATUS'
  /** The answer is not an event stream. Final, unless the connection has worked before. */
  | 'ERR_SSE_CONTENT_TYPE'
  /** The request cannot be made, or its answer cannot be read: a mistake in the options. Final. */
  | 'ERR_SSE_REQUEST'
  /** An event is larger than `maxEventBytes`. It is skipped, and the position moves past it. */
  | 'ERR_SSE_TOO_LARGE'
  /** The data of an event is not JSON, has another shape, or is refused by its schema. The event is skipped. */
  | 'ERR_SSE_DATA'
  /** The store failed. The connection continues without it. */
  | 'ERR_SSE_STORE'

/** The error that an `error` listener receives, or that a connection failed with. */
export interface ConnectionError extends Error {
  /** Stable; test this, never the message. */
  readonly code: ConnectionErrorCode
  /** Whether another attempt would be useless, so that the connection ends. */
  readonly final: boolean
  /** Of the answer, for ERR_SSE_STATUS and ERR_SSE_CONTENT_TYPE. */
  readonly status?: number
  /** Whether a redirect led to the answer, such as one to a login page. */
  readonly redirected?: boolean
  /** Of the event, for ERR_SSE_DATA and ERR_SSE_TOO_LARGE. */
  readonly id?: string
  /** The error that was thrown, or the issues that a schema found. */
  readonly cause?: unknown
}

export function connectionError(
  code: ConnectionErrorCode,
  about: { status?: number; redirected?: boolean; id?: string; cause?: unknown } = {},
  final = false,
): ConnectionError {
  const said = about.status ?? about.id ?? about.cause ?? ''
  return Object.assign(new Error(`${code} ${said}`.trimEnd()), { name: 'ConnectionError', code, final }, about)
}
