import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { CloseReason } from '../../src/errors.ts'
import type { Subscriber, SubscriberOwner } from '../../src/hub/subscriber.ts'
import type { Frame } from '../../src/protocol/frame.ts'

/** A stream without a socket, whose peer reads, stalls and leaves under the control of the test. */
export class FakeSubscriber implements Subscriber {
  state: 'idle' | 'open' | 'closed' = 'idle'
  readonly lastEventId: string
  readonly heartbeatIntervalMs = 15_000
  readonly retryMs = 2_000
  readonly highWaterMark = 0
  bufferedBytes = 0
  reason: CloseReason | undefined
  /** Everything that was written, as a client's parser reads it. */
  readonly received: EventSourceMessage[] = []
  text = ''
  writes = 0
  #owner: SubscriberOwner | undefined
  #stalled = false
  #onDrain: (() => void)[] = []
  readonly #parser = createParser({ onEvent: (event) => this.received.push(event) })

  readonly outlet = this

  constructor(lastEventId = '') {
    this.lastEventId = lastEventId
  }

  get unsentBytes(): number {
    return this.bufferedBytes
  }

  claim(owner: SubscriberOwner): void {
    if (this.#owner !== undefined) throw new Error('claimed twice')
    this.#owner = owner
  }

  release(owner: SubscriberOwner): void {
    if (this.#owner === owner) this.#owner = undefined
  }

  commit(first: readonly Frame[]): boolean {
    if (this.state === 'closed') return false
    this.state = 'open'
    for (const frame of first) this.write(frame)
    return true
  }

  write(frame: Frame): boolean {
    if (this.state !== 'open') return false
    this.writes++
    const text = frame.bytes.toString()
    this.text += text
    this.#parser.feed(text)
    // One write exceeds any mark, so a further write to a stalled peer is detected.
    if (this.#stalled) this.bufferedBytes += 1_000_000
    return !this.#stalled
  }

  onDrain(fn: () => void): void {
    if (this.bufferedBytes > 0) this.#onDrain.push(fn)
    else fn()
  }

  close(reason: CloseReason): void {
    if (this.state === 'closed') return
    const farewell = this.state === 'open' ? this.#owner?.farewell(reason) : undefined
    if (farewell !== undefined) this.write(farewell)
    this.state = 'closed'
    this.reason = reason
    this.#owner?.closed(reason)
  }

  heartbeat(): Frame | undefined {
    if (this.state === 'open') this.#owner?.tick()
    const frame = this.state === 'open' && this.bufferedBytes === 0 ? this.#owner?.heartbeat() : undefined
    if (frame !== undefined) this.write(frame)
    return frame
  }

  stall(): void {
    this.#stalled = true
  }

  get stalled(): boolean {
    return this.#stalled
  }

  /** The peer reads again, and everything that waited is gone. */
  drain(): void {
    this.#stalled = false
    this.bufferedBytes = 0
    for (const fn of this.#onDrain.splice(0)) fn()
  }
}
