import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { type CloseReason, SseError } from '../errors.ts'
import { encodeReconnectionTime } from '../protocol/encode.ts'
import { randomReconnectionTime } from '../protocol/fields.ts'
import { Frame } from '../protocol/frame.ts'
import { encodeHubEvent, FINISHED_ID } from '../protocol/hub-events.ts'
import { cutBody, endBody } from './ending.ts'
import { acceptsEventStream, isOver, lastEventIdOf, queryOf, sendHead, sendNoContent } from './handshake.ts'
import { COMMENT, KeepAlive } from './keep-alive.ts'
import { DEFAULT_RETRY_MS, type ResolvedSseOptions } from './options.ts'
import { awaitTurn, forgoTurn, isWaiting } from './pipeline.ts'
import { ResponseSink } from './response-sink.ts'
import type { Sink } from './sink.ts'
import { isBareChunked, SocketSink } from './socket-sink.ts'
import type { StreamOwner } from './stream-owner.ts'

const FINISHED = Frame.of(encodeHubEvent('finished', FINISHED_ID, {}))

/**
 * The life of one response as a stream of frames: idle, then open when its head is sent, then closed, by either side.
 * Applications use it through an `EventStream`; a hub subscribes it (`hub/subscriber.ts`).
 */
export class ResponseStream {
  /** Undefined as soon as there is a sink, which then owns the response. */
  #res: ServerResponse | undefined
  #options: ResolvedSseOptions
  #state: 'idle' | 'open' | 'closed' = 'idle'
  /** Present as soon as the head is sent. */
  #sink: Sink | undefined
  #owner: StreamOwner | undefined
  /** The reason for the end; set once, with `#state = 'closed'`. */
  #reason: CloseReason | undefined
  #lastEventId: string | undefined
  #accepted: boolean | undefined
  #keepAlive: KeepAlive | undefined
  /** The connection on which the response waited behind another one when this was made. */
  #queuedOn: Socket | undefined
  #onEnd: ((reason: CloseReason) => void)[] | undefined

  constructor(req: IncomingMessage, res: ServerResponse, options: ResolvedSseOptions) {
    this.#res = res
    this.#options = options
    // The client may have left before this line, during an await.
    if (isOver(req, res)) {
      this.#gone()
      return
    }
    // On `res`: `req` closes as soon as its body is read.
    // Here and below `on`, even for an event that happens once: `once` makes two more objects for each of many idle
    // streams.
    res.on('close', this.#gone)
    if (isWaiting(res)) {
      this.#queuedOn = req.socket
      awaitTurn(req.socket, res, this.#gone)
    }
  }

  get state(): 'idle' | 'open' | 'closed' {
    return this.#isEnded ? 'closed' : this.#state
  }

  /** Not closed by this package: other code may have ended the response already. */
  get isOpen(): boolean {
    return this.#state === 'open'
  }

  get accepted(): boolean {
    this.#accepted ??= acceptsEventStream(this.#res!.req)
    return this.#accepted
  }

  get lastEventId(): string {
    this.#lastEventId ??= lastEventIdOf(this.#res!.req)
    return this.#lastEventId
  }

  /** A query parameter of the request, while the response exists. */
  query(name: string): string | null | undefined {
    const req = this.response?.req
    return req === undefined ? undefined : queryOf(req).get(name)
  }

  /** The response, until it has been let go and collected. */
  get response(): ServerResponse | undefined {
    return this.#sink === undefined ? this.#res : this.#sink.response
  }

  /** The address of the other end of the connection. */
  get remoteAddress(): string | undefined {
    return this.#sink?.remoteAddress
  }

  get options(): ResolvedSseOptions {
    return this.#options
  }

  /** Replaces the options. The last ones before the head apply. */
  configure(options: ResolvedSseOptions): void {
    if (this.#state === 'idle') this.#options = options
  }

  get heartbeatIntervalMs(): number {
    return this.#options.heartbeatIntervalMs
  }

  /** A reconnection time for this stream, random between `retryMs` and twice that. */
  get retryMs(): number {
    return randomReconnectionTime(this.#options.retryMs ?? DEFAULT_RETRY_MS)
  }

  // -- writing

  /**
   * idle -> open, without a check of `Accept`: sends the head together with the first frames. Returns whether the
   * stream is open. Throws ERR_SSE_HEADERS_SENT.
   */
  commit(first: readonly Frame[] = []): boolean {
    if (this.state === 'closed') return false
    if (this.#state === 'open') {
      for (const frame of first) this.#sink!.write(frame)
      return true
    }
    const res = this.#res!
    if (res.headersSent) throw headersSent()
    if (this.lastEventId === FINISHED_ID) {
      this.#noContent()
      return false
    }
    // On HTTP/2 all streams of a session share the socket.
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
      this.#end('server')
      res.end()
      return false
    }
    this.#accepted = this.accepted
    this.#state = 'open'
    this.#sink = isBareChunked(res) ? new SocketSink(res) : new ResponseSink(res, this.#onFailure)
    this.#res = undefined
    this.#keepAlive = new KeepAlive(this)
    for (const frame of first) this.#sink.write(frame)
    // An owner writes its own first block, and decides when request and response can be released.
    if (this.#owner !== undefined) return true
    // One short line at once, because some proxies delay a bare head.
    const { retryMs, letGo } = this.#options
    this.#sink.write(
      retryMs === undefined ? COMMENT : Frame.of(encodeReconnectionTime(randomReconnectionTime(retryMs))),
    )
    if (letGo) this.letGo()
    return true
  }

  /**
   * Writes without a check of limits, which are the caller's task. Returns false if the peer lags or the stream is not
   * open.
   */
  write(frame: Frame): boolean {
    return this.#state === 'open' && this.#sink!.write(frame)
  }

  /** The sink itself, for the fan-out, from `commit` on. */
  get outlet(): Sink {
    return this.#sink!
  }

  /** Calls `fn` when no bytes wait, at once if none wait now; not after the end. */
  onDrain(fn: () => void): void {
    if (this.#state === 'open') this.#sink!.onDrain(fn)
  }

  /** Bytes that wait in memory for the peer. */
  get bufferedBytes(): number {
    return this.#sink?.bufferedBytes ?? 0
  }

  /** Falls while the kernel takes bytes, even within one large write. */
  get unsentBytes(): number {
    return this.#sink?.unsentBytes ?? 0
  }

  /** The number of bytes that must wait before `onDrain` is worth it. */
  get highWaterMark(): number {
    return this.#sink?.highWaterMark ?? 0
  }

  /** Releases request and response, if only this package uses them. */
  letGo(): void {
    if (this.#state === 'open') this.#sink!.letGo(this.#gone)
  }

  // -- the owner

  get owner(): StreamOwner | undefined {
    return this.#owner
  }

  claim(owner: StreamOwner): void {
    if (this.#owner !== undefined) {
      throw new SseError(
        'ERR_SSE_SUBSCRIBED',
        'A stream carries one subscription: pass an array of channels, or use subscription.add().',
      )
    }
    this.#owner = owner
  }

  release(owner: StreamOwner): void {
    if (this.#owner === owner && this.#state === 'idle') this.#owner = undefined
  }

  // -- the end

  /** Calls `fn` at the end, at once if the stream has ended. Returns a function that removes it. */
  onEnd(fn: (reason: CloseReason) => void): () => void {
    if (this.#reason !== undefined) fn(this.#reason)
    else if (this.#onEnd === undefined) this.#onEnd = [fn]
    else this.#onEnd.push(fn)
    return () => {
      const at = this.#onEnd?.indexOf(fn) ?? -1
      if (at !== -1) this.#onEnd!.splice(at, 1)
    }
  }

  close(reason: CloseReason = 'server'): void {
    if (this.#state === 'closed') return
    if (this.#state === 'idle' && (this.#res!.headersSent || !this.commit())) return
    const sink = this.#sink!
    if (reason !== 'client' && reason !== 'slow') {
      const farewell = this.#owner?.farewell(reason)
      if (farewell !== undefined) sink.write(farewell)
    }
    this.#end(reason)
    if (reason === 'slow') sink.destroy()
    else endBody(sink, reason === 'shutdown', this.#options.clock)
  }

  finish(): void {
    if (this.state === 'closed') return
    if (this.#state === 'idle') {
      if (this.#res!.headersSent) throw headersSent()
      return this.#noContent()
    }
    this.#sink!.write(FINISHED)
    this.close()
  }

  /** Ends the stream with `'error'`: the body stays unfinished, so no client takes it for complete. */
  cut(): void {
    if (this.#state !== 'open') return
    const sink = this.#sink!
    this.#end('error')
    cutBody(sink, this.#options.clock)
  }

  /** The connection has closed without an event. */
  lost(): void {
    this.#end('client')
  }

  #noContent(): void {
    const res = this.#res!
    this.#end('server')
    sendNoContent(res)
  }

  /** Some code has ended the response; 'close' may not have been emitted yet. */
  get #isEnded(): boolean {
    return this.#sink === undefined ? this.#res!.writableEnded : this.#sink.ended
  }

  /** The response is over, or, if it was let go, its connection. */
  readonly #gone = (): void => {
    this.#sink?.settle()
    // `writableFinished` is not enough: over HTTP/2 it is also true for a response that was cut.
    this.#end(this.#isEnded ? 'server' : 'client')
  }

  /** A wrapped response has thrown. The end may run application code, which must not happen inside a fan-out. */
  readonly #onFailure = (): void => queueMicrotask(() => this.cut())

  /** any -> closed. The only place that releases everything. */
  #end(reason: CloseReason): void {
    if (this.#state === 'closed') return
    this.#state = 'closed'
    this.#reason = reason
    this.response?.removeListener('close', this.#gone)
    if (this.#queuedOn !== undefined) forgoTurn(this.#queuedOn, this.#gone)
    this.#keepAlive?.stop()
    this.#owner?.closed(reason)
    for (const fn of this.#onEnd?.splice(0) ?? []) fn(reason)
  }
}

function headersSent(): SseError {
  return new SseError('ERR_SSE_HEADERS_SENT', 'Another answer to this request is already in progress.')
}
