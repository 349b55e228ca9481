import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Frame } from '../protocol/frame.ts'
import { hangUp, join, letGo, settle } from './let-go.ts'
import { queuedInKernel, type Sink } from './sink.ts'

/** Read when this module is loaded, so that a prototype that is patched later counts as wrapped. */
const { write } = ServerResponse.prototype

/**
 * Whether the body of this response is only chunks on its own socket, so that ready chunks can go to the socket
 * directly: HTTP/1.1 with a chunked body, its head sent, not queued behind the response to an earlier request, and no
 * code in between that must see the bytes.
 */
export function isBareChunked(res: ServerResponse): boolean {
  return (
    // HTTP/2 has its own frames.
    res instanceof ServerResponse &&
    // Absent on HTTP/1.0, for HEAD, and if a length is set.
    res.chunkedEncoding &&
    // Null while the response waits for an earlier one on its connection. Any socket other than the request's own
    // socket from Node was put there by other code.
    res.socket === res.req.socket &&
    res.socket instanceof Socket &&
    // The head is sent: bytes that wait in the response would arrive after bytes that are written to the socket.
    res.headersSent &&
    res.writableLength === res.socket.writableLength &&
    // Compression and similar middleware wrap these to see every byte.
    res.write === write &&
    (res as { flush?: unknown }).flush === undefined
  )
}

/**
 * Writes ready chunks directly to the socket. Every property of a response in Express is slow to read, because Express
 * changes its prototype, so this class reads none of them except to end the response.
 */
export class SocketSink implements Sink {
  readonly #socket: Socket
  /** The stream does not keep it alive: Node keeps it while it serves it. */
  readonly #response: WeakRef<ServerResponse>
  /** Other code has ended the body. Later bytes would become a part of the next response. */
  #ended = false
  /** Node no longer serves the socket, and the response may be gone. See `letGo`. */
  #isLetGo = false
  #onDrain: (() => void)[] | undefined

  /** `res`: a response for which `isBareChunked` is true. */
  constructor(res: ServerResponse) {
    this.#socket = res.socket!
    this.#response = new WeakRef(res)
    // The only event within end(); 'finish' and 'close' follow turns later.
    res.on('prefinish', () => {
      this.#ended = true
    })
  }

  write(frame: Frame): boolean {
    const socket = this.#socket
    // Not writable: the peer has sent its FIN, or the connection is gone, and 'close' has not been emitted yet.
    if (this.#ended || !socket.writable) return false
    return socket.write(frame.chunk)
  }

  get ended(): boolean {
    return this.#ended
  }

  get response(): ServerResponse | undefined {
    return this.#response.deref()
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress
  }

  get bufferedBytes(): number {
    return this.#socket.writableLength
  }

  get unsentBytes(): number {
    return this.#socket.writableLength + queuedInKernel(this.#socket)
  }

  get highWaterMark(): number {
    return this.#socket.writableHighWaterMark
  }

  onDrain(fn: () => void): void {
    if (!this.#socket.writableNeedDrain) return fn()
    if (this.#onDrain !== undefined) {
      this.#onDrain.push(fn)
      return
    }
    this.#onDrain = [fn]
    this.#socket.once('drain', () => {
      const waiting = this.#onDrain!
      this.#onDrain = undefined
      // The connection may continue without the stream.
      if (!this.#ended) for (const fn of waiting) fn()
    })
  }

  end(closeConnection: boolean): void {
    if (this.#ended) return
    const res = this.response
    if (this.#isLetGo) {
      // Code that still has the response finds it ended too.
      if (res !== undefined) {
        join(res)
        res.end()
        return
      }
      this.#ended = true
      this.#socket.write('0\r\n\r\n')
      hangUp(this.#socket)
      return
    }
    if (closeConnection) res?.once('finish', () => this.#socket.end())
    res?.end()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  cut(): void {
    // The last chunk of the body, which marks it as complete, is never written.
    this.#ended = true
    this.#socket.destroySoon()
  }

  get disconnected(): boolean {
    return this.#socket.destroyed
  }

  onClose(fn: () => void): void {
    if (this.#isLetGo) this.#socket.once('close', fn)
    else this.response?.once('close', fn)
  }

  letGo(onClose: () => void): void {
    const res = this.response
    if (res === undefined) return
    letGo(res, onClose, () => {
      this.#isLetGo = true
      this.#socket.on('close', onClose)
    })
  }

  settle(): void {
    const res = this.#isLetGo ? this.response : undefined
    if (res !== undefined) settle(res)
  }
}
