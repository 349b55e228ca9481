import type { Broker } from '../broker/broker.ts'
import type { Clock } from '../clock.ts'
import { Slots } from '../hub/slots.ts'
import { type Answer, channelSelector } from '../hub/snapshot-source.ts'
import { type Cursor, hasReached } from '../protocol/cursor.ts'

/** One call of a snapshot function. */
interface Call {
  /** Read before the function was called; undefined until then. */
  upto: Cursor | undefined
  answer: Promise<Answer>
}

/** Answers of one channel that subscribers can share. */
interface Shared {
  last: { readonly answer: Answer; readonly time: number } | undefined
  running: Call | undefined
  /** Begins when the running call has ended: it contains all that was published until then. */
  waiting: Call | undefined
}

const MAX_RUNNING = 16
const ONE_EVENT = { events: 1, bytes: 1 }

/**
 * Calls snapshot functions, and shares their answers. An answer that contains the log up to E is good for a stream at a
 * position p if E is not before p, or if the log has no event of the channel between E and p. A channel has at most one
 * call in progress and one that waits, a hub at most 16 in progress.
 */
export class Answers {
  readonly #broker: Pick<Broker, 'read'>
  readonly #clock: Clock
  readonly #call: (channel: string, upto: Cursor) => Promise<Answer>
  readonly #channels = new Map<string, Shared>()
  readonly #slots = new Slots(MAX_RUNNING)

  constructor(broker: Pick<Broker, 'read'>, clock: Clock, call: (channel: string, upto: Cursor) => Promise<Answer>) {
    this.#broker = broker
    this.#clock = clock
    this.#call = call
  }

  /** An answer that is good at `at`, or one of a later epoch. `maxAgeMs`: how old it may be. */
  async take(channel: string, at: Cursor, maxAgeMs: number): Promise<Answer> {
    const { last } = this.#shared(channel)
    if (last !== undefined && this.#clock.monotonic() - last.time < maxAgeMs) {
      if (await this.#isGood(last.answer, at)) return last.answer
    }
    // A call that begins after this one was asked for contains everything up to `at`.
    return this.#join(channel, at, maxAgeMs).answer
  }

  /** The end of the log. */
  async end(channel: string): Promise<Cursor> {
    return (await this.#broker.read(undefined, channelSelector(channel), ONE_EVENT)).upto
  }

  #join(channel: string, at: Cursor, maxAgeMs: number): Call {
    const shared = this.#shared(channel)
    const { running } = shared
    if (running === undefined) return this.#begin(channel, shared, maxAgeMs, undefined)
    if (running.upto !== undefined && hasReached(running.upto, at)) return running
    shared.waiting ??= this.#begin(channel, shared, maxAgeMs, running)
    return shared.waiting
  }

  #begin(channel: string, shared: Shared, maxAgeMs: number, before: Call | undefined): Call {
    const run = async () => {
      await before?.answer.catch(() => {})
      if (before !== undefined) {
        shared.waiting = undefined
        shared.running = call
      }
      try {
        const answer = await this.#slots.run(async () => {
          call.upto = await this.end(channel)
          return this.#call(channel, call.upto)
        })
        if (maxAgeMs > 0) shared.last = { answer, time: this.#clock.monotonic() }
        return answer
      } finally {
        if (shared.running === call) shared.running = undefined
        this.#forget(channel, shared, maxAgeMs)
      }
    }
    const call = { upto: undefined } as Call
    call.answer = run()
    call.answer.catch(() => {})
    if (before === undefined) shared.running = call
    return call
  }

  /** Releases the answer when it is too old to be used. */
  #forget(channel: string, shared: Shared, maxAgeMs: number): void {
    const { last } = shared
    this.#clock.setTimeout(() => {
      if (shared.last === last) shared.last = undefined
      if (shared.last === undefined && shared.running === undefined && shared.waiting === undefined) {
        if (this.#channels.get(channel) === shared) this.#channels.delete(channel)
      }
    }, maxAgeMs)
  }

  async #isGood({ channel, upto }: Answer, at: Cursor): Promise<boolean> {
    if (upto.epoch !== at.epoch) return false
    if (hasReached(upto, at)) return true
    const { status, items, upto: searched, end } = await this.#broker.read(upto, channelSelector(channel), ONE_EVENT)
    if (status !== 'ok' || searched.epoch !== at.epoch) return false
    const [first] = items
    return first === undefined ? end || searched.seq >= at.seq : first.seq > at.seq
  }

  #shared(channel: string): Shared {
    let shared = this.#channels.get(channel)
    if (shared === undefined) {
      shared = { last: undefined, running: undefined, waiting: undefined }
      this.#channels.set(channel, shared)
    }
    return shared
  }
}
