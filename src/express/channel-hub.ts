import type { Router } from 'express'
import { memoryBroker } from '../broker/memory-broker.ts'
import { parseChannelName } from '../channel-name.ts'
import type { ChannelData, ChannelMap, HeardData, Publishable } from '../channel-types.ts'
import { isSseError } from '../errors.ts'
import type { HubEvents } from '../hub/emitter.ts'
import { Hub } from '../hub/hub.ts'
import { type HubOptions, resolveHubOptions } from '../hub/options.ts'
import { newEvent, type PublishOptions, type PublishReceipt } from '../hub/publisher.ts'
import type { ChannelEvent, ChannelGap } from '../hub/reader.ts'
import type { HubCloseOptions } from '../hub/shutdown.ts'
import type { HubStats } from '../hub/stats.ts'
import type { Admission, SubscribeInit } from '../hub/subscribe-init.ts'
import type { Subscription } from '../hub/subscription.ts'
import { optionsObject } from '../option.ts'
import { type EventStream, FINISHED_ID } from '../stream/event-stream.ts'
import { addressOf } from './address.ts'
import { isOverload, sendOverload, sendProblem } from './problem.ts'
import { type ChannelRouterOptions, hubRouter, type RouterOptions } from './router.ts'

/** Options of `subscribe()`. */
export interface SubscribeOptions extends SubscribeInit {}

/** Options of `events()`. */
export interface EventsOptions extends Pick<SubscribeInit, 'after' | 'rewind'> {
  /** Ends the iteration. */
  signal?: AbortSignal | undefined
}

/** One event of `publishAll()`. */
export interface PublishItem<Channel extends string = string, Data = unknown> extends PublishOptions {
  channel: Channel
  data: Data
}

/** What `events()` gives: an iterator that is done at the end of its signal or of the hub. */
export type ChannelEvents<Data> = AsyncIterableIterator<ChannelEvent<Data> | ChannelGap>

/** One channel of a hub. */
export interface ChannelHandle<Data = unknown> {
  readonly name: string
  /** Open subscriptions of this process that hear it. */
  readonly localSubscribers: number
  /** The same, one by one. */
  readonly subscribers: Iterable<Subscription>
  publish(data: Data, options?: PublishOptions): Promise<PublishReceipt>
  subscribe(stream: EventStream, options?: SubscribeOptions): Promise<Subscription>
  events(options?: EventsOptions): ChannelEvents<Data>
  /** A router for this channel alone, on the mount itself. */
  router(options?: ChannelRouterOptions): Router
}

/** The events of `publishAll`, each checked by its own channel. */
type PublishItems<Channels, Names extends readonly string[]> = {
  [I in keyof Names]: PublishItem<Names[I] & Publishable<Channels, Names[I]>, ChannelData<Channels, Names[I]>>
}

const SUBSCRIBE_NAMES = ['after', 'rewind', 'envelope', 'info'] as const

/**
 * Named channels in an Express app: streams subscribe to them, and what is published to them, in code or by POST,
 * reaches every subscriber once and in order, or the subscriber is told what it missed.
 *
 * `Channels` maps channel names and patterns to the data published to them; by default any channel takes any data.
 */
// biome-ignore lint/suspicious/noExplicitAny: with any other default a typed hub is not a ChannelHub without a map.
export class ChannelHub<Channels extends ChannelMap = any> {
  readonly #hub: Hub

  /** Throws a TypeError that names a wrong option. */
  constructor(options?: HubOptions) {
    const resolved = resolveHubOptions(options)
    this.#hub = new Hub(options?.broker ?? memoryBroker({ clock: resolved.clock }), resolved)
  }

  /**
   * Publishes one event. Resolves once the broker has it (a durable one: committed). Rejects with what is wrong
   * (ERR_SSE_CHANNEL_NAME, ERR_SSE_EVENT_TYPE, ERR_SSE_EVENT_TOO_LARGE, ERR_SSE_IDEMPOTENCY_MISMATCH, a TypeError for
   * data without text), with ERR_SSE_HUB_CLOSED, ERR_SSE_BROKER_UNAVAILABLE: nothing was published; or with
   * ERR_SSE_PUBLISH_UNKNOWN: retry with the same key. Not awaited, it never becomes an unhandled rejection: `on('error')`
   * hears of it in any case.
   */
  publish<const C extends string>(
    channel: C & Publishable<Channels, C>,
    data: ChannelData<Channels, C>,
    options?: PublishOptions,
  ): Promise<PublishReceipt> {
    const published = this.#publish([{ ...options, channel, data }]).then(([receipt]) => receipt!)
    return this.#handled(published, channel)
  }

  /**
   * Publishes a batch, in order, all or nothing: at most 1,000 events and 1 MiB of encoded text, else
   * ERR_SSE_BATCH_TOO_LARGE. Receipts in the same order. Rejects as `publish` does.
   */
  publishAll<const Names extends readonly string[]>(events: PublishItems<Channels, Names>): Promise<PublishReceipt[]> {
    const items = events as unknown as readonly PublishItem[]
    return this.#handled(this.#publish(items), items?.[0]?.channel)
  }

  /**
   * Subscribes a stream to a channel, a pattern, or several of them, and opens it. Resolves once its first block is
   * written. A refusal (a bad name, a limit, a hub that is closing) is answered here when the stream has not begun; then,
   * and when the client has left, the subscription that is resolved is closed. Rejects with a TypeError for wrong
   * arguments, and ERR_SSE_SUBSCRIBED for a stream that has a subscription.
   */
  subscribe(
    stream: EventStream,
    channels: string | readonly string[],
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    return this.#handled(this.#subscribe(stream, channels, options))
  }

  /**
   * The same promises in this process: an iterator of events and gaps, from now on or from `after`. It pulls, so it
   * needs no buffer. Begins at the call; end it with `return()` or `signal` (a loop does so when it is left).
   */
  events<const C extends string>(
    channels: C | readonly C[],
    options?: EventsOptions,
  ): ChannelEvents<HeardData<Channels, C>> {
    const { after, rewind, signal } = optionsObject('events()', options, ['after', 'rewind', 'signal'])
    return this.#hub.events(channels, { after, rewind, signal }) as ChannelEvents<HeardData<Channels, C>>
  }

  /** A handle for one channel. Throws ERR_SSE_CHANNEL_NAME. */
  channel<const C extends string>(name: C & Publishable<Channels, C>): ChannelHandle<ChannelData<Channels, C>> {
    const hub = this.#hub
    parseChannelName(name)
    return {
      name,
      get localSubscribers() {
        return hub.localSubscribers(name)
      },
      get subscribers() {
        return { [Symbol.iterator]: () => hub.subscribers(name) }
      },
      publish: (data, options) => this.publish(name, data, options),
      subscribe: (stream, options) => this.subscribe(stream, name, options),
      events: (options) => this.events(name, options) as ChannelEvents<ChannelData<Channels, C>>,
      router: (options) => hubRouter(hub, { ...options, channel: () => name }, this.#serve),
    }
  }

  /** Routes: GET subscribes, POST publishes. Throws a TypeError that names a wrong option. */
  router(options: RouterOptions): Router {
    return hubRouter(this.#hub, options, this.#serve)
  }

  /** Closes every subscription that matches, with `'revoked'`. Returns how many. */
  disconnect(matches: (subscription: Subscription) => boolean): number {
    return this.#hub.disconnect(matches)
  }

  /** A snapshot: what there is, and what was counted since the hub was made. */
  stats(): HubStats {
    return this.#hub.stats()
  }

  /**
   * Listens. Returns a function that removes the listener. One that throws disturbs nobody and is reported as `error`;
   * without a listener for `error` errors are silent.
   */
  on<K extends keyof HubEvents>(type: K, listener: (...args: HubEvents[K]) => void): () => void {
    return this.#hub.on(type, listener)
  }

  /** Resolves when the broker is up; rejects when it cannot be. `subscribe` and `publish` wait for it. */
  ready(): Promise<void> {
    return this.#hub.ready
  }

  /**
   * Ends the hub: refuses new work, commits and writes what was accepted, sends each stream a random reconnection time
   * and `hub.closed`, ends them evenly, and closes the broker. Whatever is unsettled at the end of its time rejects with
   * ERR_SSE_PUBLISH_UNKNOWN. Calling it again gives the same promise.
   */
  close(options?: HubCloseOptions): Promise<void> {
    return this.#hub.close(optionsObject('close()', options, ['timeoutMs', 'retryMs']))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #publish(items: readonly PublishItem[]): Promise<PublishReceipt[]> {
    const { maxEventBytes } = this.#hub.options
    const events = items.map(({ channel, data, ...options }) => newEvent(channel, data, options, maxEventBytes))
    return events.length === 0 ? [] : this.#hub.publish(events)
  }

  async #subscribe(
    stream: EventStream,
    channels: string | readonly string[],
    options: SubscribeOptions | undefined,
  ): Promise<Subscription> {
    if (typeof stream?.claim !== 'function') throw new TypeError('subscribe() takes an event stream first: res.sse.')
    return this.#serve(stream, [channels].flat(), optionsObject('subscribe()', options, SUBSCRIBE_NAMES), {})
  }

  readonly #serve = async (
    stream: EventStream,
    channels: readonly string[],
    init: SubscribeInit,
    admission: Admission,
  ): Promise<Subscription> => {
    const hub = this.#hub
    // Both are there until a stream is open, and to whom they have gone since nothing can be answered.
    const res = stream.response
    const req = res?.req
    try {
      hub.parseNames(channels)
      const address = hub.options.maxStreamsPerAddress > 0 && req !== undefined ? addressOf(req) : undefined
      // For these the head, or 204, is the whole answer, and nothing is subscribed.
      if (stream.lastEventId === FINISHED_ID) {
        if (stream.state === 'idle') stream.commit()
      } else if (req?.method === 'HEAD' && stream.state === 'idle') {
        hub.assertOpen()
        hub.assertRoom(address)
        stream.commit()
      }
      if (stream.state === 'closed') return hub.closedSubscription(stream, init.info)
      return await hub.subscribe(stream, channels, init, { ...admission, address })
    } catch (error) {
      if (!isSseError(error) || error.status === 500) throw error
      if (res === undefined || stream.state !== 'idle' || res.headersSent) throw error
      hub.emit('refused', { req: res.req, code: error.code, status: error.status })
      if (isOverload(error)) sendOverload(res, stream.retryMs, error)
      else sendProblem(res, error)
      return hub.closedSubscription(stream, init.info)
    }
  }

  /** Somebody may not await it: that is no reason to end a process. To be the last step: what is derived is another promise. */
  #handled<T>(promise: Promise<T>, channel?: string): Promise<T> {
    promise.catch((error) => this.#hub.failed(error, { channel }))
    return promise
  }
}
