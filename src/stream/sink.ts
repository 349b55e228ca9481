import type { ServerResponse } from 'node:http'
import type { Frame } from '../protocol/frame.ts'

/** How the bytes of one response reach its peer. */
export interface Sink {
  /** Hands a frame over. False when the peer is behind: what was handed over waits in memory. */
  write(frame: Frame): boolean
  /** Bytes that wait in memory for the peer. */
  readonly bufferedBytes: number
  /** The same, as exactly as the kernel tells it: it falls while a single large write is under way. */
  readonly unsentBytes: number
  /** How much may wait before `drain` is worth waiting for. */
  readonly highWaterMark: number
  /** Calls `fn` once when nothing waits any more; at once when nothing does. Not called after the end. */
  onDrain(fn: () => void): void
  /** Ends the body after what waits. `closeConnection`: the connection ends with it instead of serving more requests. */
  end(closeConnection: boolean): void
  /** Cuts the connection: the only end that reaches a peer which does not read. */
  destroy(): void
}

/** A response whose `write` and `flush` may have been wrapped, as compressing middleware does. */
type Response = ServerResponse & { flush?: () => void }

/** The sink that works for every response: HTTP/1.0, HTTP/1.1, HTTP/2, behind wrapping middleware, over TLS. */
export class ResponseSink implements Sink {
  readonly #res: Response
  /** Whether the last `write` said no and no 'drain' came since. A wrapped response knows only this. */
  #behind = false
  /** Bytes handed over since `#behind`: a wrapper's own buffer does not show in `writableLength`. */
  #sinceBehind = 0
  #onDrain: (() => void)[] = []

  /** To be made after the head is out: wrappers decide only then whose 'drain' it is. */
  constructor(res: ServerResponse) {
    this.#res = res
    res.on('drain', () => {
      this.#behind = false
      this.#sinceBehind = 0
      const waiting = this.#onDrain
      this.#onDrain = []
      for (const fn of waiting) fn()
    })
  }

  write(frame: Frame): boolean {
    const res = this.#res
    // Somebody else ended the response; 'close' has not come yet.
    if (res.writableEnded || res.destroyed) return false
    if (!res.write(frame.bytes)) this.#behind = true
    if (this.#behind) this.#sinceBehind += frame.length
    res.flush?.()
    return !this.#behind
  }

  get bufferedBytes(): number {
    return Math.max(this.#res.writableLength, this.#sinceBehind)
  }

  get unsentBytes(): number {
    const handle = (this.#res.socket as { _handle?: { writeQueueSize?: unknown } | null } | null)?._handle
    const queued = handle?.writeQueueSize
    return this.bufferedBytes + (typeof queued === 'number' ? queued : 0)
  }

  get highWaterMark(): number {
    return this.#res.writableHighWaterMark
  }

  onDrain(fn: () => void): void {
    if (this.#behind) this.#onDrain.push(fn)
    else fn()
  }

  end(closeConnection: boolean): void {
    const res = this.#res
    if (res.writableEnded) return
    if (closeConnection && res.req.httpVersionMajor === 1) res.once('finish', () => res.req.socket.end())
    res.end()
  }

  destroy(): void {
    this.#res.destroy()
  }
}
