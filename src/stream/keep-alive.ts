import { encodeComment } from '../protocol/encode.ts'
import { Frame } from '../protocol/frame.ts'
import { nextTurn } from '../server-clock.ts'
import { type Beating, Heartbeat } from './heartbeat.ts'
import type { ResolvedSseOptions } from './options.ts'
import type { Sink } from './sink.ts'
import type { StreamOwner } from './stream-owner.ts'

/** The comment of a heartbeat, and of a head without other content. */
export const COMMENT: Frame = Frame.of(encodeComment(''))

/** The part of a stream that a `KeepAlive` uses. */
interface KeptStream {
  readonly isOpen: boolean
  readonly options: ResolvedSseOptions
  readonly owner: StreamOwner | undefined
  readonly outlet: Sink
  close(reason: 'expired' | 'slow'): void
  /** The connection has closed without an event. */
  lost(): void
}

/**
 * Present while a stream is open: sends its heartbeats, and ends the stream when its lifetime has passed, its
 * connection is gone, or its peer takes no bytes for too long.
 */
export class KeepAlive implements Beating {
  readonly #stream: KeptStream
  /** The bytes that waited for the peer at the last heartbeat, and the time since when their number is the same. */
  #stuck: { bytes: number; since: number } | undefined
  #lifetime: unknown

  constructor(stream: KeptStream) {
    this.#stream = stream
    const { clock, heartbeatIntervalMs, maxLifetimeMs } = stream.options
    if (heartbeatIntervalMs > 0) Heartbeat.of(clock, heartbeatIntervalMs).add(this)
    if (maxLifetimeMs > 0) {
      this.#lifetime = clock.setTimeout(() => stream.close('expired'), maxLifetimeMs * (0.8 + Math.random() * 0.2))
    }
  }

  stop(): void {
    const { clock, heartbeatIntervalMs } = this.#stream.options
    if (heartbeatIntervalMs > 0) Heartbeat.of(clock, heartbeatIntervalMs).delete(this)
    clock.clearTimeout(this.#lifetime)
  }

  heartbeat(): void {
    const stream = this.#stream
    const { owner, outlet } = stream
    // A wrapped response may never emit 'close'.
    if (outlet.disconnected) return stream.lost()
    owner?.tick()
    if (!stream.isOpen) return
    // Bytes that wait for the peer keep the connection as busy as a heartbeat would.
    if (outlet.bufferedBytes > 0) return this.#lookAtWaiting(outlet.unsentBytes)
    this.#stuck = undefined
    const frame = owner?.heartbeat() ?? COMMENT
    if (stream.isOpen) outlet.write(frame)
  }

  /** Fewer bytes may wait than make `write` return false, and the peer may have left without an event. */
  #lookAtWaiting(bytes: number): void {
    const stream = this.#stream
    const { clock, maxLagMs } = stream.options
    const limitMs = stream.owner?.maxLagMs ?? maxLagMs
    const now = clock.monotonic()
    if (this.#stuck?.bytes !== bytes) this.#stuck = { bytes, since: now }
    else if (limitMs > 0 && now - this.#stuck.since >= limitMs) {
      // If a test moves the time in one step, the kernel takes the bytes only afterwards.
      nextTurn(() => {
        if (stream.isOpen && stream.outlet.unsentBytes === bytes) stream.close('slow')
      })
    }
  }
}
