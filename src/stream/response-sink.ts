import type { ServerResponse } from 'node:http'
import { constants, type Http2ServerResponse } from 'node:http2'
import type { Frame } from '../protocol/frame.ts'
import { queuedInKernel, type Sink } from './sink.ts'

/** A response whose `write` and `flush` may have been wrapped, as compressing middleware does. */
type Response = ServerResponse & { flush?: () => void; stream?: Http2ServerResponse['stream'] }

/** The sink that works for every response: HTTP/1.0, HTTP/1.1, HTTP/2, behind wrapping middleware, over TLS. */
export class ResponseSink implements Sink {
  readonly response: Response
  readonly #onFailure: () => void
  /** A wrapper has thrown: nothing more is written. */
  #failed = false
  /**
   * Whether the last `write` returned false and no 'drain' has followed. A wrapped response gives no better
   * information.
   */
  #behind = false
  /** Bytes written since `#behind`: `writableLength` does not include a wrapper's own buffer. */
  #sinceBehind = 0
  #onDrain: (() => void)[] = []

  /**
   * Make it after the head is sent: only then do wrappers decide which object emits 'drain'. `onFailure` is called when
   * a wrapper throws; it must not run application code at once.
   */
  constructor(res: ServerResponse, onFailure: () => void) {
    this.response = res
    this.#onFailure = onFailure
    res.on('drain', () => {
      this.#behind = false
      this.#sinceBehind = 0
      const waiting = this.#onDrain
      this.#onDrain = []
      for (const fn of waiting) fn()
    })
  }

  write(frame: Frame): boolean {
    const res = this.response
    // Other code ended the response, and 'close' has not been emitted yet.
    if (this.#failed || res.writableEnded || res.destroyed) return false
    try {
      if (!res.write(frame.bytes)) this.#behind = true
      if (this.#behind) this.#sinceBehind += frame.length
      res.flush?.()
    } catch {
      // Third-party code. Its error ends this stream and affects no other.
      this.#fail()
      return false
    }
    return !this.#behind
  }

  get ended(): boolean {
    return this.response.writableEnded
  }

  get remoteAddress(): string | undefined {
    return this.response.req.socket.remoteAddress
  }

  get bufferedBytes(): number {
    return Math.max(this.response.writableLength, this.#sinceBehind)
  }

  get unsentBytes(): number {
    return this.bufferedBytes + queuedInKernel(this.response.socket)
  }

  get highWaterMark(): number {
    return this.response.writableHighWaterMark
  }

  onDrain(fn: () => void): void {
    if (this.#behind) this.#onDrain.push(fn)
    else fn()
  }

  end(closeConnection: boolean): void {
    const res = this.response
    if (res.writableEnded) return
    if (closeConnection && res.req.httpVersionMajor === 1) res.once('finish', () => res.req.socket.end())
    res.end()
  }

  #fail(): void {
    this.#failed = true
    this.#onFailure()
  }

  destroy(): void {
    const res = this.response
    // Behind another response it has no connection yet. Since Node 24 it would be sent in its turn, truncated, and the
    // connection would stay.
    if (res.socket === null) res.once('socket', (socket) => socket.destroy())
    res.destroy()
  }

  cut(): void {
    const res = this.response
    const { socket, stream } = res
    // RFC 9113 section 8.1: an error code other than NO_ERROR marks the body as incomplete.
    if (stream !== undefined) stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    else if (res.chunkedEncoding && socket !== null) socket.destroySoon()
    // The body of HTTP/1.0 ends with its connection: only a reset distinguishes a part from the whole.
    else if (socket !== null) socket.resetAndDestroy()
    else this.destroy()
  }

  get disconnected(): boolean {
    const { stream, req } = this.response
    return stream === undefined ? req.socket.destroyed : stream.destroyed
  }

  onClose(fn: () => void): void {
    this.response.once('close', fn)
  }

  /** Middleware between the response and its connection needs both. */
  letGo(): void {}

  settle(): void {}
}
