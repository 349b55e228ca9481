import type { CloseReason } from '../errors.ts'
import type { Frame, FrameForm } from '../protocol/frame.ts'

/** The target of one stream's bytes. */
export interface Outlet {
  /** Writes one frame. Returns false if the peer lags or is gone; the frame is accepted in any case. */
  write(frame: Frame): boolean
}

/** The part of a stream that the hub uses. An `EventStream` satisfies it, and neither imports the other. */
export interface Subscriber {
  readonly state: 'idle' | 'open' | 'closed'
  readonly lastEventId: string
  /** Sent to the client, which can then distinguish a quiet stream from a dead one. */
  readonly heartbeatIntervalMs: number
  /** The reconnection time to send; each read returns another random value. */
  readonly retryMs: number
  /** Bytes that wait in memory for the peer. */
  readonly bufferedBytes: number
  /** The same, but falling with every byte that the kernel takes. */
  readonly unsentBytes: number
  /** The number of bytes that must wait before `onDrain` is worth it. */
  readonly highWaterMark: number
  /** Makes `owner` the owner of this stream. Throws ERR_SSE_SUBSCRIBED if it has one. */
  claim(owner: SubscriberOwner): void
  /** Reverts a claim, before anything was committed: the stream can be claimed again. */
  release(owner: SubscriberOwner): void
  /** Sends the head, together with the first frames. Returns false if there is no stream to write to. */
  commit(first: readonly Frame[]): boolean
  /**
   * The target of live writes, from `commit` on. The fan-out references it instead of the stream, because each further
   * object that a delivery touches costs a cache miss.
   */
  readonly outlet: Outlet
  /** The same for one frame at a time. Writes only while the stream is open. */
  write(frame: Frame): boolean
  /** Calls `fn` when no bytes wait: at once if none wait now, never after the end. */
  onDrain(fn: () => void): void
  /** Ends the stream. Idempotent. */
  close(reason: CloseReason): void
}

/** The questions and reports of a stream to its owner. */
export interface SubscriberOwner {
  /** The form of the events on this stream, including those that the application sends itself. */
  readonly form: FrameForm
  /** The time in ms that a peer may take no bytes; 0 = unlimited. */
  readonly maxLagMs: number
  /** Called at each heartbeat, before anything else; it may end the stream. */
  tick(): void
  /** The frame for a heartbeat; undefined = a comment. Not called while bytes wait. */
  heartbeat(): Frame | undefined
  /** The last frame before the stream ends for this reason, if any. */
  farewell(reason: CloseReason): Frame | undefined
  /** The stream has ended. Called once. */
  closed(reason: CloseReason): void
}
