/** What can go wrong with a connection. */
export type ConnectionErrorCode =
  /** The request failed, or the stream was cut. It is made again. */
  | 'ERR_SSE_NETWORK'
  /** No answer within `connectTimeoutMs`, or not a byte for `silenceMs`. It is made again. */
  | 'ERR_SSE_TIMEOUT'
  /** The answer has another status than 200. 408, 425, 429 and 5xx pass; any other is final. */
  | 'ERR_SSE_STATUS'
  /** The answer is no event stream. Final. */
  | 'ERR_SSE_CONTENT_TYPE'
  /** An event is larger than `maxEventBytes`. Final, because it would come again. */
  | 'ERR_SSE_EVENT_TOO_LARGE'
  /** The data of an event is no JSON, or its schema refuses it. The event is skipped. */
  | 'ERR_SSE_DATA'
  /** The store failed. The connection goes on without it. */
  | 'ERR_SSE_STORE'

export interface ConnectionErrorInit {
  /** Of the answer, for ERR_SSE_STATUS and ERR_SSE_CONTENT_TYPE. */
  status?: number | undefined
  /** Of the event, for ERR_SSE_DATA. */
  id?: string | undefined
  cause?: unknown
}

/** What an `error` listener is told, and what a connection failed of. */
export class ConnectionError extends Error {
  /** Stable; test this, never the message. */
  readonly code: ConnectionErrorCode
  readonly status: number | undefined
  readonly id: string | undefined

  constructor(code: ConnectionErrorCode, message: string, { status, id, cause }: ConnectionErrorInit = {}) {
    super(message, { cause })
    this.name = 'ConnectionError'
    this.code = code
    this.status = status
    this.id = id
  }
}
