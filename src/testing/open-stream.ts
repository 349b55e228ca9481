import {
  type ClientRequest,
  createServer,
  type IncomingMessage,
  type RequestListener,
  request,
  type Server,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { createParser } from 'eventsource-parser'
import { Inbox, type NextOptions, type ReceivedEvent } from './inbox.ts'

// Read when this module is loaded: a test may replace them.
const { setTimeout, clearTimeout } = globalThis

/** The request of `openStream`, and its time limits. */
export interface OpenStreamOptions {
  /** Request headers. `Accept: text/event-stream` unless given; `undefined` omits a header. */
  headers?: Readonly<Record<string, string | readonly string[] | undefined>> | undefined
  /** Default: POST if there is a body, otherwise GET. */
  method?: string | undefined
  /** The request body as it is; its `Content-Type` belongs in `headers`. */
  body?: string | Uint8Array | undefined
  /** Sent as `Last-Event-ID`, as by a client that reconnects. */
  lastEventId?: string | undefined
  /** The time limit for the response, and for each event unless `next` has its own. Default 5,000. */
  timeoutMs?: number | undefined
}

/** A client of one event stream that acts only when the test calls it. */
export interface OpenStream {
  /** Of the last response. */
  readonly status: number
  /** Of the last response, with names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The ID that `reconnect` sends: that of the last event with an ID. `''` = none. */
  readonly lastEventId: string
  /** The last reconnection time from the server. */
  readonly reconnectionTimeMs: number | undefined
  /** The comments received, in order. */
  readonly comments: readonly string[]
  /** Resolves when the response has ended or was cut, by either side. Never rejects. */
  readonly ended: Promise<void>
  /**
   * Resolves with the next event that was not taken yet. Rejects if none arrives in time, and if the stream has ended
   * and no event is left. Waiting calls are served in their order.
   */
  next(options?: NextOptions): Promise<ReceivedEvent>
  /** The body of the last response so far, as it arrived. Complete if the response was a refusal. */
  text(): string
  /** Cuts the connection, like a client that loses its network. Events that were received can still be taken. */
  drop(): void
  /**
   * Drops the connection and makes the same request again with `Last-Event-ID`. Resolves with this stream when it is
   * answered.
   */
  reconnect(): Promise<this>
  /** Drops the connection, and closes the server that was started for an app. */
  [Symbol.asyncDispose](): Promise<void>
}

const DEFAULT_TIMEOUT_MS = 5_000
const EXCERPT_LENGTH = 200

/**
 * Opens an event stream as a client would, over a real connection. `target` is an Express app or any request listener
 * of node:http, which is served on a free port of the loopback interface until the stream is disposed of. Or it is the
 * base URL of a running server.
 *
 * Resolves when the head has arrived, or, for an answer that is not an event stream, when its body has arrived, for
 * `text()`. A status that refuses is not an error. Rejects if the connection fails or no answer arrives in time.
 */
export async function openStream(
  target: RequestListener | string | URL,
  path: string,
  options: OpenStreamOptions = {},
): Promise<OpenStream> {
  const server = typeof target === 'function' ? await listen(target) : undefined
  const base = server === undefined ? String(target) : `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = new Client(base, path, options, server)
  try {
    return await client.connect()
  } catch (error) {
    await client[Symbol.asyncDispose]()
    throw error
  }
}

async function listen(listener: RequestListener): Promise<Server> {
  const server = createServer(listener)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return server
}

class Client implements OpenStream {
  status = 0
  headers: Readonly<Record<string, string | string[] | undefined>> = {}
  lastEventId: string
  reconnectionTimeMs: number | undefined
  readonly comments: string[] = []
  ended = Promise.resolve()
  readonly #base: string
  readonly #path: string
  readonly #options: OpenStreamOptions
  readonly #server: Server | undefined
  readonly #timeoutMs: number
  readonly #inbox = new Inbox()
  #request: ClientRequest | undefined
  /** The body of the last response so far. */
  #text = ''

  constructor(base: string, path: string, options: OpenStreamOptions, server: Server | undefined) {
    this.#base = base
    this.#path = path
    this.#options = options
    this.#server = server
    this.#timeoutMs = options.timeoutMs ?? DEFAULT_TIMEOUT_MS
    this.lastEventId = options.lastEventId ?? ''
  }

  connect(): Promise<this> {
    const { body, method = body === undefined ? 'GET' : 'POST' } = this.#options
    this.#text = ''
    this.#inbox.begin()
    this.status = 0
    return new Promise((resolve, reject) => {
      const url = new URL(this.#path, this.#base)
      const req = request(url, { method, headers: this.#requestHeaders(), agent: false })
      const late = setTimeout(() => {
        req.destroy(new Error(`${method} ${url.pathname} was not answered within ${this.#timeoutMs} ms.`))
      }, this.#timeoutMs)
      let ended: () => void
      this.ended = new Promise((resolve) => (ended = resolve))
      this.#request = req
      const end = (): void => {
        clearTimeout(late)
        this.#inbox.end(`The stream has ended.${this.#excerpt()}`)
        ended()
        resolve(this)
      }
      // Rejects only while there is no answer. A later cut is visible in `ended`.
      req.on('error', reject)
      req.on('close', () => {
        if (this.status === 0) end()
      })
      req.on('response', (res) => {
        this.status = res.statusCode!
        this.headers = res.headers
        res.on('error', () => {})
        res.on('close', end)
        this.#read(res)
        if (!isEventStream(res)) return
        clearTimeout(late)
        resolve(this)
      })
      req.end(body)
    })
  }

  next({ type, timeoutMs = this.#timeoutMs }: NextOptions = {}): Promise<ReceivedEvent> {
    return this.#inbox.take(type, timeoutMs, () => this.#excerpt())
  }

  text(): string {
    return this.#text
  }

  drop(): void {
    // A reset, so that the server notices it at once and not at its next write.
    this.#request?.socket?.resetAndDestroy()
    this.#request?.destroy()
  }

  async reconnect(): Promise<this> {
    this.drop()
    await this.ended
    return this.connect()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.drop()
    await this.ended
    const server = this.#server
    if (server === undefined) return
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  }

  #requestHeaders(): Record<string, string | string[]> {
    const headers: Record<string, string | string[]> = { accept: 'text/event-stream' }
    // [spec] #the-last-event-id-header: sent as UTF-8; node:http takes one character for each byte.
    if (this.lastEventId !== '') headers['last-event-id'] = Buffer.from(this.lastEventId).toString('latin1')
    for (const [name, value] of Object.entries(this.#options.headers ?? {})) {
      if (value === undefined) delete headers[name.toLowerCase()]
      else headers[name.toLowerCase()] = typeof value === 'string' ? value : [...value]
    }
    return headers
  }

  #read(res: IncomingMessage): void {
    const decoder = new TextDecoder()
    const parser = createParser({
      onEvent: ({ event = 'message', id, data }) => {
        if (id !== undefined) this.lastEventId = id
        this.#inbox.put({ event, id, data, json: () => JSON.parse(data) })
      },
      onComment: (comment) => this.comments.push(comment),
      onRetry: (ms) => {
        this.reconnectionTimeMs = ms
      },
    })
    const parses = isEventStream(res)
    /**
     * The part of a line that the parser has not received yet: the parser would search the whole line again for each
     * part.
     */
    let held = ''
    res.on('data', (chunk: Buffer) => {
      const text = decoder.decode(chunk, { stream: true })
      this.#text += text
      held += text
      if (!parses || !/[\r\n]/.test(text)) return
      parser.feed(held)
      held = ''
    })
  }

  /** The end of the received text, for messages of errors. */
  #excerpt(): string {
    const text = this.#text
    if (text === '') return ` Nothing was received, status ${this.status}.`
    return ` Status ${this.status}, received last: ${JSON.stringify(text.slice(-EXCERPT_LENGTH))}`
  }
}

function isEventStream(res: IncomingMessage): boolean {
  return res.statusCode === 200 && /^text\/event-stream\s*(;|$)/i.test(res.headers['content-type'] ?? '')
}
