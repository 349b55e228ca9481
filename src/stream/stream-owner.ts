import type { CloseReason } from '../errors.ts'
import type { Frame, FrameForm } from '../protocol/frame.ts'

/** An object that writes to a stream besides the application: the subscription of a hub. */
export interface StreamOwner {
  /** The form of the events on this stream, including those that the application sends. */
  readonly form: FrameForm
  /** The time in ms that a peer may take no bytes; 0 = no limit. */
  readonly maxLagMs: number
  /** Called at each heartbeat, before anything else; it may end the stream. */
  tick(): void
  /** The frame of a heartbeat; undefined = a comment. Not called while bytes are waiting. */
  heartbeat(): Frame | undefined
  /** The last frame before the stream ends for this reason, if any. */
  farewell(reason: CloseReason): Frame | undefined
  /** The stream has ended. Called exactly once. */
  closed(reason: CloseReason): void
}
