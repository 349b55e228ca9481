import type { ServerResponse } from 'node:http'
import type { Frame } from '../protocol/frame.ts'

/** Carries the bytes of one response to its peer, after its head is sent. */
export interface Sink {
  /** Writes a frame. Returns false if the peer lags (the frame then waits in memory) or the body has ended. */
  write(frame: Frame): boolean
  /** The body has ended, or the connection accepts no more of it, for any reason. */
  readonly ended: boolean
  /** The response, while other code may use it. */
  readonly response: ServerResponse | undefined
  /** The other end of the connection. */
  readonly remoteAddress: string | undefined
  /** Bytes that wait in memory for the peer. */
  readonly bufferedBytes: number
  /** The same, as exactly as the kernel reports it: it falls while a single large write is in progress. */
  readonly unsentBytes: number
  /** The number of bytes that may wait before waiting for `drain` is worth it. */
  readonly highWaterMark: number
  /** Calls `fn` once when no bytes wait; at once if none wait now. Not called after the end. */
  onDrain(fn: () => void): void
  /**
   * Ends the body after the waiting bytes. `closeConnection`: the connection then ends too, and serves no more
   * requests.
   */
  end(closeConnection: boolean): void
  /** Cuts the connection: the only end that reaches a peer that does not read. */
  destroy(): void
  /**
   * Ends the connection after the waiting bytes, with the body unfinished: every client notices that it is incomplete.
   */
  cut(): void
  /** The connection is gone, whether or not the response has emitted 'close'. */
  readonly disconnected: boolean
  /** Calls `fn` when the response is complete: after `end`, as soon as the peer has received all of it. */
  onClose(fn: () => void): void
  /**
   * Releases request, response and parser, if possible. `onClose`, which listens to the response, then listens to the
   * connection as well.
   */
  letGo(onClose: () => void): void
  /** The response or its connection has closed: a response that was let go is closed too. */
  settle(): void
}

/** Bytes that the kernel has not taken yet from those handed to it. */
export function queuedInKernel(socket: unknown): number {
  const handle = (socket as { _handle?: { writeQueueSize?: unknown } | null } | null)?._handle
  return typeof handle?.writeQueueSize === 'number' ? handle.writeQueueSize : 0
}
