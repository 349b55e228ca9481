import type { Broker } from '../broker/broker.ts'
import { isPattern } from '../channel-name.ts'
import type { Clock } from '../clock.ts'
import type { Answer, Listing, Snapshot, SnapshotSource } from '../hub/snapshot-source.ts'
import { withinTime } from '../hub/time-limit.ts'
import type { Cursor } from '../protocol/cursor.ts'
import { encodeId } from '../protocol/encode.ts'
import { encodedLength, Frame } from '../protocol/frame.ts'
import { Answers } from './answers.ts'
import { assertListed, Registrations, type SnapshotFunction, type SnapshotOptions } from './registrations.ts'

/** How long a snapshot function may take. */
const TIME_LIMIT_MS = 10_000
/** A snapshot may be so many times as large as an event. */
const EVENTS_OF_SPACE = 8

/** The parts of a hub that snapshots need. */
export interface SnapshotHost {
  readonly broker: Pick<Broker, 'read'>
  readonly options: { readonly clock: Clock; readonly maxEventBytes: number }
}

/** The channels of a hub that have state, and its functions. See ChannelHub.snapshot(). */
export class Snapshots implements SnapshotSource {
  readonly #host: SnapshotHost
  readonly #registrations = new Registrations()
  readonly #answers: Answers

  constructor(host: SnapshotHost) {
    this.#host = host
    this.#answers = new Answers(host.broker, host.options.clock, (channel, upto) => this.#call(channel, upto))
  }

  /** Throws a TypeError that names an invalid argument. */
  register(name: string, state: SnapshotFunction, options: SnapshotOptions | undefined): void {
    this.#registrations.add(name, state, options)
  }

  has(name: string): boolean {
    if (isPattern(name)) return this.#registrations.within(name).length > 0
    return this.#registrations.of(name) !== undefined
  }

  lists(pattern: string): boolean {
    return this.#registrations.within(pattern).some(({ name, list }) => !isPattern(name) || list !== undefined)
  }

  listsAll(pattern: string): boolean {
    return this.#registrations.covering(pattern)?.list !== undefined
  }

  named(pattern: string): readonly string[] {
    const names = this.#registrations.within(pattern).map(({ name }) => name)
    return names.filter((name) => !isPattern(name))
  }

  async list(pattern: string): Promise<readonly Listing[]> {
    const listings: Listing[] = []
    for (const { name, list } of this.#registrations.within(pattern)) {
      if (list === undefined) continue
      // The narrower of the two patterns, so that the list is no longer than it must be.
      const asked = this.#registrations.covering(pattern)?.name === name ? pattern : name
      const upto = await this.#answers.end(asked)
      const listed = await this.#within(`list of ${asked}`, (signal) => list(asked, { signal }))
      listings.push({ pattern: asked, channels: assertListed(asked, listed), upto })
    }
    return listings
  }

  take(channel: string, at: Cursor): Promise<Answer> {
    return this.#answers.take(channel, at, this.#registrations.of(channel)?.maxAgeMs ?? 0)
  }

  async #call(channel: string, upto: Cursor): Promise<Answer> {
    const registration = this.#registrations.of(channel)
    if (registration === undefined) return { channel, snapshot: undefined, upto }
    const state = await this.#within(`snapshot of ${channel}`, (signal) => registration.state(channel, { signal }))
    if (state === undefined) return { channel, snapshot: undefined, upto }
    const data = JSON.stringify(state)
    const { maxEventBytes } = this.#host.options
    if (data === undefined) throw new TypeError(`The snapshot of ${channel} must be data that JSON has a text for.`)
    if (encodedLength(data) > maxEventBytes * EVENTS_OF_SPACE) {
      throw new TypeError(
        `The snapshot of ${channel} must have at most ${maxEventBytes * EVENTS_OF_SPACE} bytes (8 × \`maxEventBytes\`).`,
      )
    }
    return { channel, snapshot: new ChannelSnapshot(channel, data, upto), upto }
  }

  async #within(what: string, call: (signal: AbortSignal) => unknown): Promise<unknown> {
    const abort = new AbortController()
    const late = () => {
      abort.abort()
      return new Error(`The ${what} took over ${TIME_LIMIT_MS} ms.`)
    }
    const result = (async () => call(abort.signal))()
    return await withinTime(this.#host.options.clock, TIME_LIMIT_MS, result, late)
  }
}

/** Made once and shared: many streams get the same state at the same position. */
class ChannelSnapshot implements Snapshot {
  readonly channel: string
  readonly data: string
  readonly upto: Cursor
  #last: { readonly id: string | undefined; readonly frame: Frame } | undefined

  constructor(channel: string, data: string, upto: Cursor) {
    this.channel = channel
    this.data = data
    this.upto = upto
  }

  frame(id: string | undefined): Frame {
    if (this.#last === undefined || this.#last.id !== id) {
      const idLine = id === undefined ? '' : encodeId(id)
      const data = `{"channel":${JSON.stringify(this.channel)},"data":${this.data}}`
      this.#last = { id, frame: Frame.of(`event: hub.snapshot\n${idLine}data: ${data}\n\n`) }
    }
    return this.#last.frame
  }
}
