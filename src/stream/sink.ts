import type { ServerResponse } from 'node:http'
import type { Frame } from '../protocol/frame.ts'

/** How the bytes of one response reach its peer, from the moment its head is out. */
export interface Sink {
  /** Hands a frame over. False when the peer is behind (what was handed over waits in memory) or the body has ended. */
  write(frame: Frame): boolean
  /** The body has ended, or the connection can take no more of it, whoever did that. */
  readonly ended: boolean
  /** The response, while anybody has a use for it. */
  readonly response: ServerResponse | undefined
  /** The other end of the connection. */
  readonly remoteAddress: string | undefined
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
  /** Ends the connection after what waits, with the body unfinished: every client sees that something is missing. */
  cut(): void
  /** The connection is gone, whether or not the response has emitted 'close'. */
  readonly disconnected: boolean
  /** Calls `fn` when the response is over: after `end`, as soon as the peer has it all. */
  onClose(fn: () => void): void
  /**
   * Lets go of request, response and parser, where it can; `onClose`, which listens to the response, then listens to the
   * connection as well.
   */
  letGo(onClose: () => void): void
  /** The response or its connection has closed: a response that was let go of is told so. */
  settle(): void
}

/** What the kernel has not taken yet of what a stream has handed to it. */
export function queuedInKernel(socket: unknown): number {
  const handle = (socket as { _handle?: { writeQueueSize?: unknown } | null } | null)?._handle
  return typeof handle?.writeQueueSize === 'number' ? handle.writeQueueSize : 0
}
