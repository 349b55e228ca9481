import { Subscriber } from './subscriber.ts'
import { Board, Sequence } from './tally.ts'

interface Member {
  readonly subscriber: Subscriber
  readonly sequence: Sequence
}

/** What a connection asks for, and from which number on it should get everything. */
export interface Seat {
  readonly channel: number
  readonly first: number
  readonly lastEventId?: string | undefined
}

/** How many are connecting at a time. */
const CONNECTING = 256

/** All subscribers. Event `n` belongs to channel `n` modulo their number, so each channel has its own sequence. */
export class Crowd {
  readonly board = new Board()
  readonly #port: number
  readonly #size: number
  #channels = 1
  #heard: number[] = []
  #members: Member[] = []
  /** The number of the next event. */
  next = 0

  /** See `ClientInit`. */
  readonly awake: boolean

  constructor(port: number, size: number, awake: boolean) {
    this.#port = port
    this.#size = size
    this.awake = awake
  }

  get size(): number {
    return this.#members.length
  }

  /** How many were closed by the server. */
  get broken(): number {
    return this.#members.filter(({ subscriber }) => subscriber.broken).length
  }

  /** Adds members until there are `count`, or the time is over. */
  async fill(count: number, channels: number, deadlineMs: number): Promise<void> {
    this.#channels = channels
    const from = this.size
    await this.#open(count - from, deadlineMs, (i) => {
      const channel = (from + i) % channels
      return { channel, first: this.next + ((channel - (this.next % channels) + channels) % channels) }
    })
  }

  /** Adds `count` members that all resume after the same event. */
  async resume(count: number, lastEventId: string, first: number, deadlineMs: number): Promise<void> {
    await this.#open(count, deadlineMs, () => ({ channel: 0, first, lastEventId }))
  }

  /** The channel of the next event, whose subscribers are from now on expected to get it. */
  announce(): { n: number; channel: string } {
    const n = this.next++
    this.board.expect(n, this.#heard[n % this.#channels] ?? 0)
    return { n, channel: `c${n % this.#channels}` }
  }

  /** The last `count` events are to be delivered once more. */
  expectAgain(count: number, subscribers: number): void {
    for (let n = this.next - count; n < this.next; n++) this.board.expect(n, subscribers)
  }

  /** Passes all bytes to an observer. */
  spy(spy: (bytes: Buffer) => void): void {
    for (const { subscriber } of this.#members) subscriber.spy = spy
  }

  /** Counts events that have not arrived as lost, and no longer waits for them. */
  settle(): void {
    for (const { sequence } of this.#members) sequence.settle(this.next - 1)
    this.board.clear()
  }

  leave(): void {
    for (const { subscriber } of this.#members) subscriber.leave()
    this.#members = []
    this.#heard = []
  }

  async #open(count: number, deadlineMs: number, seat: (i: number) => Seat): Promise<void> {
    const deadline = performance.now() + deadlineMs
    let [asked, connecting] = [0, 0]
    const pending = new Set<Subscriber>()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, deadlineMs)
      const done = () => {
        clearTimeout(timer)
        resolve()
      }
      const more = () => {
        while (connecting < CONNECTING && asked < count && performance.now() < deadline) {
          const { channel, first, lastEventId } = seat(asked++)
          connecting++
          const sequence = new Sequence(this.board, first, this.#channels)
          const init = { port: this.#port, size: this.#size, channel: `c${channel}`, sequence, lastEventId }
          const subscriber: Subscriber = new Subscriber(init, (open) => {
            connecting--
            pending.delete(subscriber)
            if (open) {
              this.#members.push({ subscriber, sequence })
              this.#heard[channel] = (this.#heard[channel] ?? 0) + 1
            }
            more()
          })
          pending.add(subscriber)
        }
        if (asked === count && connecting === 0) done()
      }
      more()
    })
    for (const subscriber of pending) subscriber.leave()
  }
}
