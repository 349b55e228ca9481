import { SseError } from '../errors.ts'
import type { ResolvedHubOptions } from './options.ts'
import type { LiveStats } from './stats.ts'
import type { StreamSubscription } from './stream-subscription.ts'

/** The subscriptions of a hub, and the room that its limits leave. */
export class Subscriptions implements Iterable<StreamSubscription> {
  readonly #options: Pick<ResolvedHubOptions, 'maxStreams' | 'maxStreamsPerAddress'>
  readonly #all = new Set<StreamSubscription>()
  #held = 0
  /** The number of streams for each address. */
  readonly #addresses = new Map<string, number>()

  constructor(options: Pick<ResolvedHubOptions, 'maxStreams' | 'maxStreamsPerAddress'>) {
    this.#options = options
  }

  [Symbol.iterator](): Iterator<StreamSubscription> {
    return this.#all.values()
  }

  add(subscription: StreamSubscription): void {
    this.#all.add(subscription)
    this.#count(subscription.address, 1)
  }

  delete(subscription: StreamSubscription): void {
    if (this.#all.delete(subscription)) this.#count(subscription.address, -1)
  }

  /** A read without a stream that may be held takes the room of a stream. */
  hold(address: string | undefined): void {
    this.#held++
    this.#count(address, 1)
  }

  letGo(address: string | undefined): void {
    this.#held--
    this.#count(address, -1)
  }

  /** Throws ERR_SSE_OVERLOADED if there is no room for another stream. */
  assertRoom(address: string | undefined): void {
    const { maxStreams, maxStreamsPerAddress } = this.#options
    const isFull = maxStreams > 0 && this.#all.size + this.#held >= maxStreams
    const ofAddress = address === undefined ? 0 : (this.#addresses.get(address) ?? 0)
    if (!isFull && !(maxStreamsPerAddress > 0 && ofAddress >= maxStreamsPerAddress)) return
    const detail = isFull ? 'All streams are taken. Try again later.' : 'All streams of this address are taken.'
    throw new SseError('ERR_SSE_OVERLOADED', detail)
  }

  get stats(): Omit<LiveStats, 'channels'> {
    const stats = { streams: 0, subscriptions: this.#all.size, bufferedBytes: 0 }
    for (const { stream } of this.#all) {
      if (stream.state === 'open') stats.streams++
      stats.bufferedBytes += stream.bufferedBytes
    }
    return stats
  }

  #count(address: string | undefined, change: 1 | -1): void {
    if (address === undefined) return
    const count = (this.#addresses.get(address) ?? 0) + change
    if (count === 0) this.#addresses.delete(address)
    else this.#addresses.set(address, count)
  }
}
