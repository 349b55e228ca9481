import type { CloseReason } from '../errors.ts'
import type { Frame } from '../protocol/frame.ts'

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
  /** Sends the head; the owner writes at once. False when there is no stream to write to. */
  commit(): boolean
  /** Writes one frame. False when the peer is behind; nothing is refused. */
  write(frame: Frame): boolean
  /** Calls `fn` when nothing waits any more: at once when nothing does, never after the end. */
  onDrain(fn: () => void): void
  /** Ends the stream. Idempotent. */
  close(reason: CloseReason): void
}

/** What a stream asks and tells the one who claimed it. */
export interface SubscriberOwner {
  /** What goes out at a heartbeat; undefined = a comment. Not asked while bytes wait. */
  heartbeat(): Frame | undefined
  /** The last thing to be written before the stream ends for this reason, if any. */
  farewell(reason: CloseReason): Frame | undefined
  /** The stream has ended. Called once. */
  closed(reason: CloseReason): void
}
