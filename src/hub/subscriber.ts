import type { CloseReason } from '../errors.ts'
import type { Frame, FrameForm } from '../protocol/frame.ts'

/** Where the bytes of one stream go. */
export interface Outlet {
  /** Writes one frame. False when the peer is behind, or there is no peer any more; nothing is refused. */
  write(frame: Frame): boolean
}

/** What the hub needs of a stream. An `EventStream` satisfies it without either knowing the other. */
export interface Subscriber {
  readonly state: 'idle' | 'open' | 'closed'
  readonly lastEventId: string
  /** Told to the client, who can then tell a quiet stream from a dead one. */
  readonly heartbeatIntervalMs: number
  /** The reconnection time to ask for, another one at each reading. */
  readonly retryMs: number
  /** Bytes that wait in memory for the peer. */
  readonly bufferedBytes: number
  /** The same, falling with every byte the kernel takes. */
  readonly unsentBytes: number
  /** How much must wait before `onDrain` is worth waiting for. */
  readonly highWaterMark: number
  /** Makes `owner` the one this stream asks and tells. Throws ERR_SSE_SUBSCRIBED if it has one. */
  claim(owner: SubscriberOwner): void
  /** Takes a claim back, before anything was committed: the stream may be claimed again. */
  release(owner: SubscriberOwner): void
  /** Sends the head, and the first frames with it in one go. False when there is no stream to write to. */
  commit(first: readonly Frame[]): boolean
  /**
   * From `commit` on: what a live subscription is written to. The fan-out holds it instead of the stream, because each
   * further object that a delivery touches costs a miss of the cache.
   */
  readonly outlet: Outlet
  /** The same for one frame at a time; writes only while the stream is open. */
  write(frame: Frame): boolean
  /** Calls `fn` when nothing waits any more: at once when nothing does, never after the end. */
  onDrain(fn: () => void): void
  /** Ends the stream. Idempotent. */
  close(reason: CloseReason): void
}

/** What a stream asks its owner, and reports to it. */
export interface SubscriberOwner {
  /** How events look on this stream: those that the application sends besides, too. */
  readonly form: FrameForm
  /** How long a peer may take nothing, in ms; 0 = for ever. */
  readonly maxLagMs: number
  /** Called at each heartbeat, before anything else; it may end the stream. */
  tick(): void
  /** What goes out at a heartbeat; undefined = a comment. Not asked while bytes wait. */
  heartbeat(): Frame | undefined
  /** The last thing to be written before the stream ends for this reason, if any. */
  farewell(reason: CloseReason): Frame | undefined
  /** The stream has ended. Called once. */
  closed(reason: CloseReason): void
}
