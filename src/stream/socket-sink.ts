import { ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import type { Frame } from '../protocol/frame.ts'
import { hangUp, join, letGo, settle } from './let-go.ts'
import { queuedInKernel, type Sink } from './sink.ts'

/** Taken when this module is loaded, so that a prototype which is patched later counts as wrapped. */
const { write } = ServerResponse.prototype

/**
 * Whether the body of this response is nothing but chunks on its own socket, so that ready chunks can go there:
 * HTTP/1.1 with a chunked body, its head out and not queued behind the response to an earlier request of the same
 * connection, and nobody in between who would want to see the bytes.
 */
export function isBareChunked(res: ServerResponse): boolean {
  return (
    // HTTP/2 has frames of its own.
    res instanceof ServerResponse &&
    // Absent on HTTP/1.0, for HEAD, and where somebody has set a length.
    res.chunkedEncoding &&
    // Null while the response waits for an earlier one of its connection. Anything else than the request's own, and than
    // a socket of Node, has been put there by somebody.
    res.socket === res.req.socket &&
    res.socket instanceof Socket &&
    // The head has left: what waits in the response would come after what is written to the socket.
    res.headersSent &&
    res.writableLength === res.socket.writableLength &&
    // Compression and its like wrap these to see every byte.
    res.write === write &&
    (res as { flush?: unknown }).flush === undefined
  )
}

/**
 * Ready chunks straight to the socket. Every property of a response in Express is slow to read, because Express gives
 * it another prototype, so nothing of it is touched here but to end it.
 */
export class SocketSink implements Sink {
  readonly #socket: Socket
  /** Not kept alive by the stream: Node keeps it while it serves it. */
  readonly #response: WeakRef<ServerResponse>
  /** Somebody has ended the body. What is written from here on would be taken for a part of the next response. */
  #ended = false
  /** Node does not serve the socket any more, and the response may be gone. See `letGo`. */
  #isLetGo = false
  #onDrain: (() => void)[] | undefined

  /** `res`: one for which `isBareChunked` holds. */
  constructor(res: ServerResponse) {
    this.#socket = res.socket!
    this.#response = new WeakRef(res)
    // The one event that comes within end(); 'finish' and 'close' are turns later.
    res.on('prefinish', () => {
      this.#ended = true
    })
  }

  write(frame: Frame): boolean {
    const socket = this.#socket
    // Not writable: the peer has sent its FIN, or the connection is gone, and 'close' has not come yet.
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
      // The connection may go on without the stream.
      if (!this.#ended) for (const fn of waiting) fn()
    })
  }

  end(closeConnection: boolean): void {
    if (this.#ended) return
    const res = this.response
    if (this.#isLetGo) {
      // Whoever still has the response finds it ended, too.
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
    // The last chunk of the body, which says that it is complete, is never written.
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
