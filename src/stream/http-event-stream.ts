import type { IncomingMessage, ServerResponse } from 'node:http'
import { type CloseReason, SseError } from '../errors.ts'
import { encodeComment, encodeReconnectionTime } from '../protocol/encode.ts'
import { parseReconnectionTime } from '../protocol/fields.ts'
import { Frame } from '../protocol/frame.ts'
import { FINISHED_ID } from '../protocol/hub-events.ts'
import { StallWatch } from '../stall-watch.ts'
import type { EventStream, StreamOptions } from './event-stream.ts'
import { resolveSseOptions, type SseOptions } from './options.ts'
import { ResponseStream } from './response-stream.ts'
import { encodeSend, type SendOptions } from './send.ts'
import { type EventSourceInput, type StreamResult, streamFrom } from './source.ts'

/** `Symbol.for`: for all copies of this package. */
const RESPONSE_STREAM = Symbol.for('express-sse-hub.response-stream')

/** The part of a stream that applications use: it turns data into frames. */
export class HttpEventStream implements EventStream {
  readonly [RESPONSE_STREAM]: ResponseStream
  // Made on first use: most streams need only one of these.
  #abort: AbortController | undefined
  #closed: Promise<CloseReason> | undefined
  /** Present while the peer of a stream without an owner lags. */
  #stall: StallWatch | undefined

  constructor(stream: ResponseStream) {
    this[RESPONSE_STREAM] = stream
  }

  get state(): 'idle' | 'open' | 'closed' {
    return this[RESPONSE_STREAM].state
  }

  get accepted(): boolean {
    return this[RESPONSE_STREAM].accepted
  }

  get lastEventId(): string {
    return this[RESPONSE_STREAM].lastEventId
  }

  get bufferedBytes(): number {
    return this[RESPONSE_STREAM].bufferedBytes
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      const abort = new AbortController()
      this.#abort = abort
      this[RESPONSE_STREAM].onEnd((reason) => abort.abort(abortError(reason)))
    }
    return this.#abort.signal
  }

  get closed(): Promise<CloseReason> {
    this.#closed ??= new Promise((resolve) => this[RESPONSE_STREAM].onEnd(resolve))
    return this.#closed
  }

  open(): this {
    const stream = this[RESPONSE_STREAM]
    if (stream.state === 'idle' && stream.lastEventId !== FINISHED_ID && !stream.accepted) {
      throw new SseError(
        'ERR_SSE_NOT_ACCEPTABLE',
        'This resource is an event stream; Accept excludes text/event-stream.',
      )
    }
    stream.commit()
    return this
  }

  send(data: unknown, options?: SendOptions): boolean {
    return this.#write(() => {
      const { owner } = this[RESPONSE_STREAM]
      if (options?.id !== undefined && owner !== undefined) {
        throw new SseError(
          'ERR_SSE_ID_RESERVED',
          'On a stream of a hub the event IDs are its positions: send without id.',
        )
      }
      return encodeSend(data, options, owner?.form)
    })
  }

  comment(text = ''): boolean {
    return this.#write(() => encodeComment(String(text)))
  }

  retry(ms: number): boolean {
    return this.#write(() => encodeReconnectionTime(parseReconnectionTime(ms)))
  }

  stream<T>(source: EventSourceInput<T>, options?: StreamOptions<T>): Promise<StreamResult> {
    const stream = this[RESPONSE_STREAM]
    return streamFrom(this, stream, source, options, stream.options.onError)
  }

  drained(): Promise<void> {
    const stream = this[RESPONSE_STREAM]
    return new Promise((resolve) => {
      if (stream.state !== 'open') return resolve()
      const forget = stream.onEnd(() => resolve())
      this.#watchStall()
      stream.onDrain(() => {
        forget()
        resolve()
      })
    })
  }

  close(reason?: CloseReason): void {
    this[RESPONSE_STREAM].close(reason)
  }

  finish(): void {
    this[RESPONSE_STREAM].finish()
  }

  /** Encodes first: if that throws, nothing is committed or written. */
  #write(encode: () => string): boolean {
    const stream = this[RESPONSE_STREAM]
    if (stream.state === 'closed') return false
    const frame = Frame.of(encode())
    if (!stream.commit()) return false
    if (stream.bufferedBytes >= stream.options.maxBufferedBytes) {
      stream.close('slow')
      return false
    }
    if (stream.write(frame)) return true
    this.#watchStall()
    return false
  }

  /** Closes the stream if its peer takes no bytes for `maxLagMs`. An owner watches its stream itself. */
  #watchStall(): void {
    const stream = this[RESPONSE_STREAM]
    if (this.#stall !== undefined || stream.owner !== undefined || stream.state !== 'open') return
    const { clock, maxLagMs } = stream.options
    const stall = new StallWatch(clock, maxLagMs, stream, () => stream.close('slow'))
    this.#stall = stall
    stall.start()
    const forget = stream.onEnd(() => stall.stop())
    stream.onDrain(() => {
      forget()
      stall.stop()
      this.#stall = undefined
    })
  }
}

/** The event stream of a response, without `res.sse`: for node:http, tests, and apps in which `res.sse` is taken. */
export function eventStream(req: IncomingMessage, res: ServerResponse, options?: SseOptions): EventStream {
  return new HttpEventStream(new ResponseStream(req, res, resolveSseOptions(options)))
}

/**
 * The response behind an event stream, including one of another copy of this package; undefined for any other value.
 */
export function responseStreamOf(stream: unknown): ResponseStream | undefined {
  return (stream as Partial<HttpEventStream> | null | undefined)?.[RESPONSE_STREAM]
}

function abortError(reason: CloseReason): DOMException {
  return new DOMException(`The event stream ended: ${reason}.`, { name: 'AbortError', cause: reason })
}
