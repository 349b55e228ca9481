import type { Router } from 'express'
import { memoryBroker } from '../broker/memory-broker.ts'
import { type ChannelPattern, type ChannelSelection, parseChannelName, parseSelection } from '../channel-name.ts'
import type {
  ChannelData,
  ChannelMap,
  ChannelName,
  ChannelSelectionOf,
  HeardData,
  NamesOf,
  Publishable,
} from '../channel-types.ts'
import type { HubEvents } from '../hub/emitter.ts'
import { Hub } from '../hub/hub.ts'
import { type HubOptions, resolveHubOptions } from '../hub/options.ts'
import { newEvent, type PublishOptions, type PublishReceipt } from '../hub/publisher.ts'
import type { ChannelEvent, ChannelGap, ChannelSnapshot } from '../hub/reader.ts'
import type { HubCloseOptions } from '../hub/shutdown.ts'
import type { HubStats } from '../hub/stats.ts'
import { parseAfter, parseRewind, parseSnapshot, type SubscribeOptions } from '../hub/subscribe-request.ts'
import type { Subscription } from '../hub/subscription.ts'
import { booleanOption, optionsObject, show, wrongOption } from '../option.ts'
import type { SnapshotFunction, SnapshotOptions } from '../state/registrations.ts'
import { Snapshots } from '../state/snapshots.ts'
import type { EventStream } from '../stream/event-stream.ts'
import { responseStreamOf } from '../stream/http-event-stream.ts'
import { hubRouter } from './router.ts'
import type { ChannelRouterOptions, RouterOptions } from './router-options.ts'
import { requestedSnapshot, serveSubscription } from './subscribe.ts'

export type { SubscribeOptions }

/** Options of `events()`. */
export interface EventsOptions extends Pick<SubscribeOptions, 'after' | 'rewind' | 'snapshot'> {
  /** Ends the iteration. */
  signal?: AbortSignal | undefined
}

/** One event of `publishAll()`. */
export interface PublishItem<Channel extends string = string, Data = unknown> extends PublishOptions {
  channel: Channel
  data: Data
}

/** The result of `events()`: an iterator that ends with its signal or with the hub. */
export type ChannelEvents<Data, Channel extends string = string> = AsyncIterableIterator<
  ChannelEvent<Data, Channel> | ChannelSnapshot<Data, Channel> | ChannelGap
>

/** The items of `events()` for each requested channel or pattern: `channel` determines the type of the data. */
type HeardEvents<Channels, C extends string> = AsyncIterableIterator<
  | (C extends string
      ? ChannelEvent<HeardData<Channels, C>, NamesOf<C>> | ChannelSnapshot<HeardData<Channels, C>, NamesOf<C>>
      : never)
  | ChannelGap
>

/** One channel of a hub. */
export interface ChannelHandle<Data = unknown> {
  readonly name: string
  /** Open subscriptions of this process that receive its events. */
  readonly localSubscribers: number
  /** The same, one by one. */
  readonly subscribers: Iterable<Subscription>
  publish(data: Data, options?: PublishOptions): Promise<PublishReceipt>
  subscribe(stream: EventStream, options?: SubscribeOptions): Promise<Subscription>
  events(options?: EventsOptions): ChannelEvents<Data>
  /** A router for this channel alone, on the mount itself. */
  router(options?: ChannelRouterOptions): Router
}

/** The events of `publishAll`, each with the type of its channel. */
type PublishItems<Channels, Names extends readonly string[]> = {
  [I in keyof Names]: PublishItem<Names[I] & Publishable<Channels, Names[I]>, ChannelData<Channels, Names[I]>>
}

const SUBSCRIBE_NAMES = ['after', 'rewind', 'snapshot', 'envelope', 'info'] as const
const EVENTS_NAMES = ['after', 'rewind', 'snapshot', 'signal'] as const

/**
 * Named channels in an Express app. Streams subscribe to them. An event that is published to them, in code or by POST,
 * reaches every subscriber once and in order, or the subscriber receives a report of the missing events.
 *
 * `Channels` maps channel names and patterns to the data published to them; by default any channel accepts any data.
 */
// biome-ignore lint/suspicious/noExplicitAny: with any other default a typed hub is not a ChannelHub without a map.
export class ChannelHub<Channels extends ChannelMap = any> {
  readonly #hub: Hub
  #snapshots: Snapshots | undefined

  /** Throws a TypeError that names an invalid option. */
  constructor(options?: HubOptions) {
    const resolved = resolveHubOptions(options)
    this.#hub = new Hub(options?.broker ?? memoryBroker({ clock: resolved.clock }), resolved)
  }

  /**
   * Publishes one event. Resolves when the broker has it (with a durable broker: committed). Rejects with the error of
   * an invalid argument (ERR_SSE_CHANNEL_NAME, ERR_SSE_EVENT_TYPE, ERR_SSE_EVENT_TOO_LARGE,
   * ERR_SSE_IDEMPOTENCY_MISMATCH, a TypeError for data without text); with ERR_SSE_HUB_CLOSED or
   * ERR_SSE_BROKER_UNAVAILABLE: nothing was published; or with ERR_SSE_PUBLISH_UNKNOWN: retry with the same key. It
   * never becomes an unhandled rejection: `on('error')` receives it in any case.
   */
  publish<const C extends ChannelName<Channels>>(
    channel: C & Publishable<Channels, C>,
    data: ChannelData<Channels, C>,
    options?: PublishOptions,
  ): Promise<PublishReceipt> {
    const published = this.#publish([{ ...options, channel, data }]).then(([receipt]) => receipt!)
    return this.#handled(published, channel)
  }

  /**
   * Publishes a batch, in order, all or nothing: at most 1,000 events and 1 MiB of encoded text, otherwise
   * ERR_SSE_BATCH_TOO_LARGE. Receipts are in the same order. Rejects as `publish` does.
   */
  publishAll<const Names extends readonly ChannelName<Channels>[]>(
    events: PublishItems<Channels, Names>,
  ): Promise<PublishReceipt[]> {
    const items = events as unknown as readonly PublishItem[]
    return this.#handled(this.#publish(items), items?.[0]?.channel)
  }

  /**
   * Subscribes a stream to a channel, a pattern, or several of them, and opens it. Resolves when its first block is
   * written. If the stream has not begun, a refusal (an invalid name, a limit, a hub that is closing) is answered here.
   * In that case, and if the client has left, the promise resolves with a closed subscription. Rejects with a TypeError
   * for invalid arguments, and with ERR_SSE_SUBSCRIBED for a stream that has a subscription.
   */
  subscribe(
    stream: EventStream,
    channels: ChannelSelectionOf<Channels>,
    options?: SubscribeOptions,
  ): Promise<Subscription> {
    return this.#handled(this.#subscribe(stream, channels, options))
  }

  /**
   * The same promises in this process: an iterator of events and gaps, from now on or from `after`. It pulls, so it
   * needs no buffer. It starts at the call; end it with `return()` or `signal` (leaving a loop calls `return()`).
   */
  events<const C extends ChannelName<Channels> = never, const P extends string = never>(
    channels: C | ChannelPattern<P> | readonly (C | ChannelPattern<P>)[],
    options?: EventsOptions,
  ): HeardEvents<Channels, C | P> {
    const { after, rewind, snapshot, signal } = optionsObject('events()', options, EVENTS_NAMES)
    if (signal !== undefined && !(signal instanceof AbortSignal)) throw wrongOption('signal', 'an AbortSignal', signal)
    const init = { after: parseAfter(after, ''), rewind, snapshot: parseSnapshot(snapshot), signal }
    return this.#hub.events(parseSelection(channels), init) as HeardEvents<Channels, C | P>
  }

  /**
   * The event ID of the end of the log, by a read of the broker: no event whose publish has resolved before this call is
   * after it. A page that is rendered on the server takes it before it reads the database, and the client resumes from it:
   * a change that is not in the page then arrives as an event. Rejects as `publish` does.
   */
  position(): Promise<string> {
    return this.#handled(this.#hub.position())
  }

  /**
   * Gives a channel, or the channels of a pattern, a snapshot: a function that returns the present state of one channel.
   * A subscriber that cannot be brought up to date by events alone then receives the state, as the event `hub.snapshot`,
   * and not a gap. Register it before the channels are subscribed. Of several that match, the exact name counts, then the
   * first pattern. The application writes its database before it publishes, publishes the changes of a channel in the
   * order of the writes, and publishes new values rather than differences. A function that fails, takes over 10 s or
   * returns more than 8 × `maxEventBytes` ends the stream with `'error'`. Throws a TypeError for invalid arguments.
   */
  snapshot(channels: ChannelName<Channels> | ChannelPattern, state: SnapshotFunction, options?: SnapshotOptions): void {
    const [name, ...more] = parseSelection(channels)
    if (more.length > 0) throw wrongOption('channels', 'a channel or a pattern', channels)
    if (this.#hub.isEphemeral(name!))
      throw wrongOption('channels', 'a channel that keeps events', `${name} (ephemeral)`)
    this.#hub.assertUnused(name!)
    this.#snapshots ??= new Snapshots(this.#hub)
    this.#snapshots.register(name!, state, options)
    this.#hub.snapshots = this.#snapshots
  }

  /** A handle for one channel. Throws ERR_SSE_CHANNEL_NAME. */
  channel<const C extends ChannelName<Channels>>(
    name: C & Publishable<Channels, C>,
  ): ChannelHandle<ChannelData<Channels, C>> {
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
      subscribe: (stream, options) => this.subscribe(stream, name as never, options),
      events: (options) => this.events(name as never, options) as ChannelEvents<ChannelData<Channels, C>>,
      router: (options) => hubRouter(hub, { ...options, channel: () => name }),
    }
  }

  /** Routes: GET subscribes, POST publishes. Throws a TypeError that names an invalid option. */
  router(options: RouterOptions<Channels>): Router {
    return hubRouter(this.#hub, options)
  }

  /**
   * Closes every matching subscription with `'revoked'`. Returns their number. A request whose `subscribe` hook has not
   * answered yet is matched after the answer: a verdict from before this call opens no stream after it.
   */
  disconnect(matches: (subscription: Subscription) => boolean): number {
    if (typeof matches !== 'function') throw wrongOption('matches', 'a function', matches)
    return this.#hub.disconnect(matches)
  }

  /** A snapshot: the current state, and totals since the hub was made. */
  stats(): HubStats {
    return this.#hub.stats()
  }

  /**
   * Adds a listener. Returns a function that removes it. A listener that throws affects no other and is reported as
   * `error`; without a listener for `error`, errors are silent.
   */
  on<K extends keyof HubEvents>(type: K, listener: (...args: HubEvents[K]) => void): () => void {
    return this.#hub.on(type, listener)
  }

  /** Resolves when the broker is ready; rejects if it cannot start. `subscribe` and `publish` wait for it. */
  ready(): Promise<void> {
    return this.#hub.ready
  }

  /**
   * Ends the hub: refuses new work, commits and writes everything that was accepted, sends each stream a random
   * reconnection time and `hub.closed`, ends the streams evenly, and closes the broker. Publishes that are unsettled at
   * the end of its time reject with ERR_SSE_PUBLISH_UNKNOWN. A second call returns the same promise.
   */
  close(options?: HubCloseOptions): Promise<void> {
    return this.#hub.close(optionsObject('close()', options, ['timeoutMs', 'retryMs']))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #publish(items: readonly PublishItem[]): Promise<PublishReceipt[]> {
    if (!Array.isArray(items)) throw new TypeError(`publishAll() must be given an array of events, got ${show(items)}.`)
    const { maxEventBytes } = this.#hub.options
    const events = items.map(({ channel, data, ...options }) => {
      const event = newEvent(channel, data, options, maxEventBytes)
      if (event.idempotencyKey !== undefined && this.#hub.isEphemeral(event.channel)) {
        throw wrongOption('idempotencyKey', `absent on the ephemeral channel ${channel}`, event.idempotencyKey)
      }
      return event
    })
    return events.length === 0 ? [] : this.#hub.publish(events)
  }

  async #subscribe(
    sse: EventStream,
    channels: ChannelSelection,
    options: SubscribeOptions | undefined,
  ): Promise<Subscription> {
    const stream = responseStreamOf(sse)
    if (stream === undefined)
      throw new TypeError(`subscribe() must be given an event stream first, such as res.sse, got ${show(sse)}.`)
    const { after, rewind, snapshot, envelope, info } = optionsObject('subscribe()', options, SUBSCRIBE_NAMES)
    const asksForEnvelope = () => stream.query('envelope') === '1'
    const subscription = await serveSubscription(this.#hub, stream, () => parseSelection(channels), {
      form:
        booleanOption('envelope', envelope, false) || (envelope === undefined && asksForEnvelope())
          ? 'envelope'
          : 'plain',
      info,
      after: parseAfter(after, stream.lastEventId),
      rewind: parseRewind(rewind),
      snapshot: parseSnapshot(snapshot) ?? requestedSnapshot(stream),
    })
    if (stream.options.letGo) stream.letGo()
    return subscription
  }

  /**
   * Marks the promise as handled, so that a call that is not awaited cannot end the process. Call it last: a promise that
   * is derived from it would be unhandled again.
   */
  #handled<T>(promise: Promise<T>, channel?: string): Promise<T> {
    promise.catch((error) => this.#hub.failed(error, { channel }))
    return promise
  }
}
