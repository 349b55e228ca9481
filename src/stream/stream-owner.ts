import type { CloseReason } from '../errors.ts'
import type { Frame, FrameForm } from '../protocol/frame.ts'

/** What writes to a stream besides the application: the subscription of a hub. */
export interface StreamOwner {
  /** How events look on this stream, also those that the application sends. */
  readonly form: FrameForm
  /** How long a peer may take nothing, in ms; 0 = no limit. */
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
