import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type CloseReason, SseError } from '../errors.ts'
import { encodeComment, encodeId, encodeReconnectionTime } from '../protocol/encode.ts'
import { parseReconnectionTime, randomReconnectionTime } from '../protocol/fields.ts'
import { Frame, type FrameForm } from '../protocol/frame.ts'
import { nextTurn } from '../server-clock.ts'
import { StallWatch } from '../stall-watch.ts'
import { acceptsEventStream, lastEventIdOf, queryOf, sendHead } from './handshake.ts'
import { Heartbeat } from './heartbeat.ts'
import { DEFAULT_RETRY_MS, type ResolvedSseOptions, resolveSseOptions, type SseOptions } from './options.ts'
import { awaitTurn, forgoTurn, isWaiting } from './pipeline.ts'
import { ResponseSink } from './response-sink.ts'
import { encodeSend, type SendOptions } from './send.ts'
import type { Sink } from './sink.ts'
import { isBareChunked, SocketSink } from './socket-sink.ts'
import { type EventSourceInput, type SourceOptions, type StreamResult, streamFrom } from './source.ts'

/** Options of `stream`. */
export interface StreamOptions<T> extends SourceOptions<T, EventStream> {}

/** What writes to a stream besides the application: the subscription of a hub. */
export interface StreamOwner {
  /** How events look on this stream: those that the application sends besides, too. */
  readonly form: FrameForm
  /** How long a peer may take nothing, in ms; 0 = for ever. */
  readonly maxLagMs: number
  /** Called at each heartbeat, before anything else; it may end the stream. */
  tick(): void
  /** What goes out at a heartbeat; undefined = a comment. Not asked while bytes are waiting. */
  heartbeat(): Frame | undefined
  /** The last thing to be written before the stream ends for this reason, if any. */
  farewell(reason: CloseReason): Frame | undefined
  /** The stream has ended. Called exactly once. */
  closed(reason: CloseReason): void
}

/** The last event ID of a client that was told that there is nothing more to come. */
export const FINISHED_ID = 'hub.finished'

/** How long a peer may take over the rest of a stream that was ended, before the connection is cut. */
const LINGER_MS = 5_000

const COMMENT = Frame.of(encodeComment(''))
const FINISHED = Frame.of(`event: hub.finished\n${encodeId(FINISHED_ID)}data: {}\n\n`)

/**
 * One response as an event stream. Nothing is sent until it is used; then it is `open` until somebody ends it.
 * Once it has ended no method throws: they return false, or resolve.
 */
export class EventStream {
  /** Until there is a sink, which knows what is left to be done with it. */
  #res: ServerResponse | undefined
  #options: ResolvedSseOptions
  #state: 'idle' | 'open' | 'closed' = 'idle'
  /** Present from the moment the head is out. */
  #sink: Sink | undefined
  #owner: StreamOwner | undefined
  /** Why it ended; set once, with `#state = 'closed'`. */
  #reason: CloseReason | undefined
  #lastEventId: string | undefined
  #accepted: boolean | undefined
  #lifetime: unknown
  /** While bytes of a stream without an owner wait for the peer. */
  #stall: StallWatch | undefined
  /** What waited for the peer at the last heartbeat, and since when it is as much. */
  #stuck: { bytes: number; since: number } | undefined
  /** The connection on which the response stood behind another when this was made. */
  #queuedOn: Socket | undefined
  // Made on first use: most responses are no streams, and most streams need only one of these.
  #abort: AbortController | undefined
  #closed: Promise<CloseReason> | undefined
  #resolveClosed: ((reason: CloseReason) => void) | undefined
  #onClose: (() => void)[] | undefined

  /** @internal */
  constructor(req: IncomingMessage, res: ServerResponse, options: ResolvedSseOptions) {
    this.#res = res
    this.#options = options
    // The client may have left before this line, during an await.
    if (isOver(req, res)) {
      this.#gone()
      return
    }
    // On `res`: `req` closes as soon as its body is read.
    // `on`, here and below, for what happens once anyway: `once` is two more objects for each of many idle streams.
    res.on('close', this.#gone)
    if (isWaiting(res)) {
      this.#queuedOn = req.socket
      awaitTurn(req.socket, res, this.#gone)
    }
  }

  /** `'idle'` until the head is committed, then `'open'`; `'closed'` after any end of the response. */
  get state(): 'idle' | 'open' | 'closed' {
    return this.#isEnded ? 'closed' : this.#state
  }

  /** False when `Accept` excludes `text/event-stream`, for handlers that can answer something else as well. */
  get accepted(): boolean {
    this.#accepted ??= acceptsEventStream(this.#res!.req)
    return this.#accepted
  }

  /**
   * What the client saw last: header `Last-Event-ID`, else query `lastEventId`; `''` when absent or empty.
   * [spec] https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
   */
  get lastEventId(): string {
    this.#lastEventId ??= lastEventIdOf(this.#res!.req)
    return this.#lastEventId
  }

  /**
   * Fires at the end of the response, opened as a stream or not, also after a normal answer. Its reason is an
   * `AbortError` whose `cause` is the `CloseReason`.
   */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController()
      if (this.#reason !== undefined) this.#abort.abort(abortError(this.#reason))
    }
    return this.#abort.signal
  }

  /** Resolves with the reason at the end of the response, opened as a stream or not. Never rejects. */
  get closed(): Promise<CloseReason> {
    this.#closed ??= new Promise((resolve) => {
      if (this.#reason !== undefined) resolve(this.#reason)
      else this.#resolveClosed = resolve
    })
    return this.#closed
  }

  /** Bytes that wait in memory for the peer. */
  get bufferedBytes(): number {
    return this.#sink?.bufferedBytes ?? 0
  }

  /**
   * Commits the head, once, and returns the stream. The only call that looks at `Accept`: throws
   * ERR_SSE_NOT_ACCEPTABLE (406) when it excludes event streams. Throws ERR_SSE_HEADERS_SENT while another response is
   * under way. A HEAD request is answered with the head, and a client that was told `hub.finished` with 204: the
   * stream is closed then.
   */
  open(): this {
    if (this.state === 'idle' && this.lastEventId !== FINISHED_ID && !this.accepted) {
      throw new SseError(
        'ERR_SSE_NOT_ACCEPTABLE',
        'This resource is an event stream; Accept excludes text/event-stream.',
      )
    }
    this.#commit()
    return this
  }

  /**
   * Sends one event, opening the stream. A string goes as it is, anything else as JSON, bytes only with
   * `encoding: 'base64'`. Returns false when the peer is behind (wait for `drained()`) or gone.
   *
   * Throws before anything is written: a TypeError for data that has no text (`undefined`, BigInt, cycles, Map, Set),
   * ERR_SSE_EVENT_TYPE, ERR_SSE_EVENT_ID, ERR_SSE_ID_RESERVED for an `id` on a stream of a hub, ERR_SSE_HEADERS_SENT.
   */
  send(data: unknown, options?: SendOptions): boolean {
    if (this.state === 'closed') return false
    return this.#write(() => {
      if (options?.id !== undefined && this.#owner !== undefined) {
        throw new SseError(
          'ERR_SSE_ID_RESERVED',
          'On a stream of a hub the event IDs are its positions: send without id.',
        )
      }
      return encodeSend(data, options, this.#owner?.form)
    })
  }

  /** Sends a comment, which clients skip. Returns as `send` does. */
  comment(text = ''): boolean {
    if (this.state === 'closed') return false
    return this.#write(() => encodeComment(String(text)))
  }

  /** Asks the client to wait this many whole milliseconds before it reconnects (clamped to 500 – 3 600 000). */
  retry(ms: number): boolean {
    if (this.state === 'closed') return false
    return this.#write(() => encodeReconnectionTime(parseReconnectionTime(ms)))
  }

  /**
   * Sends everything a source yields, one event an item: a sync or async iterable, a Web or Node readable, or a promise
   * of one. Waits for a peer that is behind, decodes bytes as UTF-8 across their borders, and finalises the source when
   * the client leaves, even while the source is idle.
   *
   * Never rejects once the head is out: the result says how it ended. No message of an error is ever sent by itself.
   */
  stream<T>(source: EventSourceInput<T>, options?: StreamOptions<T>): Promise<StreamResult> {
    return streamFrom(this, source, options, this.#options.onError)
  }

  /** Resolves when nothing waits for the peer any more, or the stream has closed. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#state !== 'open') return resolve()
      this.#onClose ??= []
      const waiting = this.#onClose
      waiting.push(resolve)
      this.#watchStall()
      this.#sink!.onDrain(() => {
        const at = waiting.indexOf(resolve)
        if (at !== -1) waiting.splice(at, 1)
        resolve()
      })
    })
  }

  /** Ends the stream, opening it first if need be; a response of somebody else is left alone. Idempotent. */
  close(reason: CloseReason = 'server'): void {
    if (this.#state === 'closed') return
    if (this.#state === 'idle' && (this.#res!.headersSent || !this.#commit())) return
    const sink = this.#sink!
    if (reason !== 'client' && reason !== 'slow') {
      const farewell = this.#owner?.farewell(reason)
      if (farewell !== undefined) sink.write(farewell)
    }
    this.#finish(reason)
    if (reason === 'slow') return sink.destroy()
    try {
      sink.end(reason === 'shutdown')
    } catch {
      // A wrapped end() has thrown.
      sink.destroy()
    }
    this.#linger(sink)
  }

  /**
   * Ends the stream for good. Before the head the answer is 204, on which a browser stops; after it the last event is
   * `hub.finished`, on which a page closes its EventSource; one that comes back nevertheless is answered 204.
   */
  finish(): void {
    if (this.state === 'closed') return
    if (this.#state === 'idle') {
      if (this.#res!.headersSent) throw headersSent()
      return this.#noContent()
    }
    this.#sink!.write(FINISHED)
    this.close('server')
  }

  /** A peer whose window is shut never sees the end: it is cut when it has not taken the rest in time. */
  #linger(sink: Sink): void {
    if (sink.bufferedBytes === 0) return
    const { clock } = this.#options
    const timer = clock.setTimeout(() => sink.destroy(), LINGER_MS)
    sink.onClose(() => clock.clearTimeout(timer))
  }

  // -- what follows belongs to the hub and the middleware, and is not in the published types --

  /** @internal Ends the stream with `'error'`: the body stays unfinished, so no client takes it for complete. */
  cut(): void {
    if (this.#state !== 'open') return
    const sink = this.#sink!
    this.#finish('error')
    sink.cut()
    this.#linger(sink)
  }

  /** @internal */
  get heartbeatIntervalMs(): number {
    return this.#options.heartbeatIntervalMs
  }

  /** @internal A reconnection time for this stream, random between `retryMs` and twice that. */
  get retryMs(): number {
    return randomReconnectionTime(this.#options.retryMs ?? DEFAULT_RETRY_MS)
  }

  /** @internal The response, while anybody has a use for it. */
  get response(): ServerResponse | undefined {
    return this.#sink === undefined ? this.#res : this.#sink.response
  }

  /** @internal The other end of the connection. */
  get remoteAddress(): string | undefined {
    return this.#sink?.remoteAddress
  }

  /** @internal A query parameter of the request, while the response is there. */
  query(name: string): string | null | undefined {
    const req = this.response?.req
    return req === undefined ? undefined : queryOf(req).get(name)
  }

  /** @internal How much may wait before `onDrain` is worth waiting for. */
  get highWaterMark(): number {
    return this.#sink?.highWaterMark ?? 0
  }

  /** @internal Falls while the kernel takes bytes, also within one large write. */
  get unsentBytes(): number {
    return this.#sink?.unsentBytes ?? 0
  }

  /** @internal The last options before the head win. */
  configure(options: ResolvedSseOptions): void {
    if (this.#state === 'idle') this.#options = options
  }

  /** @internal The option. */
  get letsGo(): boolean {
    return this.#options.letGo
  }

  /** @internal From now on nobody else has a use for request and response. */
  letGo(): void {
    if (this.#state === 'open') this.#sink!.letGo(this.#gone)
  }

  /** @internal Makes `owner` the one that this stream asks and tells. Throws ERR_SSE_SUBSCRIBED if it has one. */
  claim(owner: StreamOwner): void {
    if (this.#owner !== undefined) {
      throw new SseError(
        'ERR_SSE_SUBSCRIBED',
        'A stream carries one subscription: pass an array of channels, or use subscription.add().',
      )
    }
    this.#owner = owner
  }

  /** @internal See Subscriber. */
  release(owner: StreamOwner): void {
    if (this.#owner === owner && this.#state === 'idle') this.#owner = undefined
  }

  /** @internal See Subscriber. Without looking at `Accept`. */
  commit(first: readonly Frame[] = []): boolean {
    return this.state !== 'closed' && this.#commit(first)
  }

  /** @internal See Subscriber. */
  get outlet(): Sink {
    return this.#sink!
  }

  /** @internal Writes without looking at bounds, which are the owner's to keep. False when the peer is behind. */
  write(frame: Frame): boolean {
    return this.#state === 'open' && this.#sink!.write(frame)
  }

  /** @internal Calls `fn` when nothing waits any more, at once when nothing does; not after the end. */
  onDrain(fn: () => void): void {
    if (this.#state === 'open') this.#sink!.onDrain(fn)
  }

  /** @internal For the shared timer. */
  heartbeat(): void {
    if (this.#state !== 'open') return
    const sink = this.#sink!
    // A wrapped response may never emit 'close'.
    if (sink.disconnected) return this.#finish('client')
    this.#owner?.tick()
    if (!this.#isOpen()) return
    // Bytes that wait for the peer keep the connection as busy as a heartbeat would.
    if (sink.bufferedBytes > 0) return this.#lookAtWaiting(sink.unsentBytes)
    this.#stuck = undefined
    const frame = this.#owner?.heartbeat() ?? COMMENT
    if (this.#isOpen()) sink.write(frame)
  }

  /** Too little may wait for `write` to return false, and the peer may have left without a word. */
  #lookAtWaiting(bytes: number): void {
    const { clock } = this.#options
    const limitMs = this.#owner?.maxLagMs ?? this.#options.maxLagMs
    const now = clock.monotonic()
    if (this.#stuck?.bytes !== bytes) this.#stuck = { bytes, since: now }
    else if (limitMs > 0 && now - this.#stuck.since >= limitMs) {
      // Where time is made to pass in one go, the kernel takes them only afterwards.
      nextTurn(() => {
        if (this.#state === 'open' && this.#sink!.unsentBytes === bytes) this.close('slow')
      })
    }
  }

  /** Encodes first, so that nothing is committed and nothing written when that throws. */
  #write(encode: () => string): boolean {
    const frame = Frame.of(encode())
    if (!this.#commit()) return false
    const sink = this.#sink!
    if (sink.bufferedBytes >= this.#options.maxBufferedBytes) {
      this.close('slow')
      return false
    }
    if (sink.write(frame)) return true
    this.#watchStall()
    return false
  }

  /** A peer that takes nothing for `maxLagMs` is gone for all practical purposes. With an owner that is its business. */
  #watchStall(): void {
    if (this.#stall !== undefined || this.#owner !== undefined || this.#state !== 'open') return
    const { clock, maxLagMs } = this.#options
    this.#stall = new StallWatch(clock, maxLagMs, this, () => this.close('slow'))
    this.#stall.start()
    this.#sink!.onDrain(() => {
      this.#stall?.stop()
      this.#stall = undefined
    })
  }

  /** A call, because the state changes under a call of the owner. */
  #isOpen(): boolean {
    return this.#state === 'open'
  }

  /** idle -> open. Returns whether the stream is open. */
  #commit(first: readonly Frame[] = []): boolean {
    if (this.#state !== 'idle') {
      if (this.#state === 'open') for (const frame of first) this.#sink!.write(frame)
      return this.#state === 'open'
    }
    if (this.state === 'closed') return false
    const res = this.#res!
    if (res.headersSent) throw headersSent()
    if (this.lastEventId === FINISHED_ID) {
      this.#noContent()
      return false
    }
    // The head and what comes first in one write. On HTTP/2 the socket is that of all streams of its session.
    const socket = res.req.httpVersionMajor === 1 ? res.socket : null
    socket?.cork()
    try {
      return this.#sendHead(res, first)
    } finally {
      socket?.uncork()
    }
  }

  #sendHead(res: ServerResponse, first: readonly Frame[]): boolean {
    sendHead(res.req, res)
    if (res.req.method === 'HEAD') {
      this.#finish('server')
      res.end()
      return false
    }
    this.#accepted = this.accepted
    this.#state = 'open'
    this.#sink = isBareChunked(res) ? new SocketSink(res) : new ResponseSink(res, this.#onFailure)
    this.#res = undefined
    const { clock, heartbeatIntervalMs, maxLifetimeMs, retryMs } = this.#options
    if (heartbeatIntervalMs > 0) Heartbeat.of(clock, heartbeatIntervalMs).add(this)
    if (maxLifetimeMs > 0) {
      this.#lifetime = clock.setTimeout(() => this.close('expired'), maxLifetimeMs * (0.8 + Math.random() * 0.2))
    }
    // One short line at once, since some proxies hold a bare head back. An owner writes its own first block.
    for (const frame of first) this.#sink.write(frame)
    if (this.#owner === undefined) {
      this.#sink.write(
        retryMs === undefined ? COMMENT : Frame.of(encodeReconnectionTime(randomReconnectionTime(retryMs))),
      )
    }
    // With an owner it is for those who made it to say when.
    if (this.#options.letGo && this.#owner === undefined) this.letGo()
    return true
  }

  /** [spec] #sse-processing-model: 204 is the one answer that tells a client not to come back without being an error. */
  #noContent(): void {
    const res = this.#res!
    this.#finish('server')
    // RFC 9110 section 8.6: a 204 has no Content-Length.
    res.removeHeader('Content-Length')
    res.statusCode = 204
    res.end()
  }

  /** Somebody has ended the response; 'close' may be yet to come. */
  get #isEnded(): boolean {
    return this.#sink === undefined ? this.#res!.writableEnded : this.#sink.ended
  }

  /** The response is over, whoever ended it, or the connection that it was let go of. */
  readonly #gone = (): void => {
    this.#sink?.settle()
    // Not by `writableFinished`: over HTTP/2 that is true of a response that was cut, too.
    this.#finish(this.#isEnded ? 'server' : 'client')
  }

  /** A wrapped response has thrown. Application code that follows from the end must not run inside a fan-out. */
  readonly #onFailure = (): void => queueMicrotask(() => this.cut())

  /** any -> closed. The one place that lets go of everything. */
  #finish(reason: CloseReason): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#reason = reason
    this.response?.removeListener('close', this.#gone)
    if (this.#queuedOn !== undefined) forgoTurn(this.#queuedOn, this.#gone)
    const { clock, heartbeatIntervalMs } = this.#options
    if (heartbeatIntervalMs > 0) Heartbeat.of(clock, heartbeatIntervalMs).delete(this)
    clock.clearTimeout(this.#lifetime)
    this.#stall?.stop()
    this.#owner?.closed(reason)
    for (const fn of this.#onClose?.splice(0) ?? []) fn()
    this.#resolveClosed?.(reason)
    this.#abort?.abort(abortError(reason))
  }
}

/** The event stream of a response, without `res.sse`: for node:http, tests, and apps in which `res.sse` is taken. */
export function eventStream(req: IncomingMessage, res: ServerResponse, options?: SseOptions): EventStream {
  return new EventStream(req, res, resolveSseOptions(options))
}

/** Whether the response has closed already. Over HTTP/2 only its stream knows. */
function isOver(req: IncomingMessage, res: ServerResponse & { stream?: { readonly destroyed: boolean } }): boolean {
  if (res.destroyed || res.closed) return true
  if (req.httpVersionMajor > 1) return res.stream?.destroyed === true
  return isWaiting(res) && req.socket.destroyed
}

function headersSent(): SseError {
  return new SseError('ERR_SSE_HEADERS_SENT', 'Another answer to this request is already under way.')
}

function abortError(reason: CloseReason): DOMException {
  return new DOMException(`The event stream ended: ${reason}.`, { name: 'AbortError', cause: reason })
}
