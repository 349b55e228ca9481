import type { Broker, NewEvent, Selector } from '../broker/broker.ts'
import { type CloseReason, SseError } from '../errors.ts'
import { integerOption } from '../option.ts'
import { type Cursor, formatCursor, isSame } from '../protocol/cursor.ts'
import { randomReconnectionTime } from '../protocol/fields.ts'
import type { Frame } from '../protocol/frame.ts'
import { Admissions } from './admissions.ts'
import { ChannelDirectory } from './channel.ts'
import { Emitter } from './emitter.ts'
import { HandOver } from './hand-over.ts'
import { LogTail } from './log-tail.ts'
import { closedFrame, type Gap, positionFrame } from './notice.ts'
import type { ResolvedHubOptions } from './options.ts'
import { Poll, type PollAnswer, type PollRequest, revoked } from './poll.ts'
import { assertBatch, Publisher, type PublishReceipt } from './publisher.ts'
import { Pump } from './pump.ts'
import { Reader, type ReaderHost, type Waiting } from './reader.ts'
import { Reads } from './reads.ts'
import { endEvenly, type HubCloseOptions, parseRetryRange, SHUTDOWN_RETRY_MS, within } from './shutdown.ts'
import type { SnapshotSource } from './snapshot-source.ts'
import { type Beginning, emptyStats, type HubStats } from './stats.ts'
import { StreamSubscription } from './stream-subscription.ts'
import { parseRewind, type SubscribeOptions, type SubscribeRequest } from './subscribe-request.ts'
import type { Subscriber } from './subscriber.ts'
import { closedSubscription, type Subscription } from './subscription.ts'
import type { SubscriptionHost } from './subscription-host.ts'
import { Subscriptions } from './subscriptions.ts'

const NO_CHANNELS: Selector = { channels: [], patterns: [], matches: () => false }

/** Joins a log and its subscribers. Knows neither HTTP nor a concrete broker. */
export class Hub implements SubscriptionHost<StreamSubscription>, ReaderHost {
  readonly options: ResolvedHubOptions
  readonly broker: Broker
  /** The newest events that were handed over, and the position of every live subscription. */
  readonly tail = new LogTail()
  readonly directory = new ChannelDirectory((name) => this.snapshots?.has(name) === true)
  /** Set before the channels with state are subscribed. */
  snapshots: SnapshotSource | undefined
  readonly pump: Pump
  readonly reads: Reads
  readonly readers = new Set<Waiting>()
  /** The reads without a stream that may be held. */
  readonly #polls = new Set<Poll>()
  readonly admissions = new Admissions()
  readonly ready: Promise<void>
  readonly #publisher: Publisher
  readonly #emitter = new Emitter()
  readonly #subscriptions: Subscriptions
  readonly #handOver: HandOver
  #position: { cursor: Cursor; frame: Frame } | undefined
  #count = 0
  #closing: Promise<void> | undefined
  #retryMs: readonly [number, number] = SHUTDOWN_RETRY_MS
  /** `close` was given them. */
  #hasRetryMs = false
  readonly #stats = emptyStats()
  /** Refusals whose causes were emitted: each failure is reported once. */
  readonly #reported = new WeakSet<object>()

  constructor(broker: Broker, options: ResolvedHubOptions) {
    this.options = options
    this.broker = broker
    this.#subscriptions = new Subscriptions(options)
    this.#handOver = new HandOver(this, this.#subscriptions)
    this.pump = new Pump(options.clock)
    this.reads = new Reads(broker)
    this.ready = broker.start(this.#handOver.listener).then((end) => this.tail.reset(end))
    this.ready.catch((error) => this.failed(error))
    this.#publisher = new Publisher(broker, this.ready)
  }

  on: Emitter['on'] = (type, listener) => this.#emitter.on(type, listener)

  emit: Emitter['emit'] = (type, ...args) => this.betweenFanOuts(() => this.#emitter.emit(type, ...args))

  /** Publishes events as one group, all or nothing; a group that is too large is refused. */
  async publish(given: readonly NewEvent[]): Promise<PublishReceipt[]> {
    assertBatch(given)
    this.assertOpen()
    const events = this.#mark(given)
    if (this.options.schemas !== undefined) await this.options.schemas.assert(events)
    const receipts = await this.#publisher.publish(events)
    return receipts.map(({ id, duplicate }, i) => {
      const { channel } = events[i]!
      if (!duplicate) this.#stats.published++
      return {
        id: (id && formatCursor(id)) as string,
        channel,
        duplicate,
        localSubscribers: duplicate ? 0 : this.localSubscribers(channel),
      }
    })
  }

  /** Whether the broker keeps no event of this channel, or of any channel that this pattern stands for. */
  isEphemeral(channel: string): boolean {
    return this.broker.isEphemeral?.(channel) === true
  }

  /** Marks the events of ephemeral channels. Throws ERR_SSE_IDEMPOTENCY_KEY for one with a key. */
  #mark(events: readonly NewEvent[]): readonly NewEvent[] {
    if (this.broker.isEphemeral === undefined) return events
    return events.map((event) => {
      if (!this.isEphemeral(event.channel)) return event
      if (event.idempotencyKey === undefined) return { ...event, ephemeral: true }
      const detail = `Channel ${event.channel} is ephemeral: nothing of it is remembered, so its events must have no idempotency key.`
      throw new SseError('ERR_SSE_IDEMPOTENCY_KEY', detail)
    })
  }

  /**
   * Subscribes a stream. Resolves when its first block is written, or it has ended. Rejects with the stream untouched:
   * with a refusal as SseError, or with the error of the broker.
   */
  async subscribe(stream: Subscriber, request: SubscribeRequest): Promise<Subscription> {
    this.assertSelection(request.names)
    this.assertOpen()
    this.assertRoom(request.address)
    const subscription = new StreamSubscription(this, stream, request, this.#nextId())
    if (request.admission?.isRevoked(subscription) === true) {
      subscription.close('revoked')
      throw new SseError('ERR_SSE_OVERLOADED', 'The permission was revoked before it was decided. Try again later.')
    }
    this.#subscriptions.add(subscription)
    await subscription.start()
    return subscription
  }

  /** A subscription that never began, for a request with another answer. */
  closedSubscription(info: unknown): Subscription {
    return closedSubscription(this.#nextId(), info, this.options.clock.now())
  }

  events(
    names: readonly string[],
    init: Pick<SubscribeOptions, 'after' | 'rewind' | 'snapshot'> & { signal?: AbortSignal | undefined },
  ): Reader {
    const { after = '', rewind, snapshot, signal } = init
    this.assertSelection(names)
    this.assertOpen()
    return new Reader(this, { names, after, rewind: parseRewind(rewind), snapshot, signal })
  }

  /**
   * The end of the log, by a read: no event that was committed before the call is after it. The top of the tail would not
   * do, because a remote log may be ahead of it; nor a shared read, which may have begun before a commit.
   */
  async position(): Promise<string> {
    this.assertOpen()
    await this.ready
    const { upto } = await this.broker.read(undefined, NO_CHANNELS, { events: 1, bytes: 1 })
    return formatCursor(upto)
  }

  /**
   * Reads without a stream. Rejects with a refusal as SseError, otherwise with the error of the broker or of a hook. A
   * request that may be held counts as a stream.
   */
  async poll(request: PollRequest): Promise<PollAnswer> {
    this.assertSelection(request.names)
    this.assertOpen()
    const isHeld = request.waitMs > 0
    if (isHeld) this.assertRoom(request.address)
    const poll = new Poll(this, request, this.#nextId())
    if (isHeld) this.#hold(poll, request)
    try {
      const answer = await poll.answer()
      if (request.admission.isRevoked(poll.subscription)) throw revoked()
      this.#stats.delivered += answer.events.length
      if (answer.gap !== undefined) this.#countGap(poll.subscription, answer.gap)
      return answer
    } finally {
      if (isHeld) this.#letGo(poll, request)
    }
  }

  #hold(poll: Poll, { address }: PollRequest): void {
    this.#polls.add(poll)
    this.readers.add(poll)
    this.#subscriptions.hold(address)
  }

  #letGo(poll: Poll, { address }: PollRequest): void {
    this.#polls.delete(poll)
    this.readers.delete(poll)
    this.#subscriptions.letGo(address)
  }

  /**
   * Closes the matching subscriptions, and those of requests whose hook has not answered yet. Returns the number that
   * are closed now.
   */
  disconnect(matches: (subscription: Subscription) => boolean): number {
    const chosen = [...this.#subscriptions].filter((subscription) => matches(subscription))
    this.admissions.revoke(matches)
    for (const subscription of chosen) subscription.close('revoked')
    const polls = [...this.#polls].filter((poll) => matches(poll.subscription))
    for (const poll of polls) poll.revoke()
    return chosen.length + polls.length
  }

  /** Open subscriptions that receive a channel. */
  *subscribers(channel: string): Generator<Subscription> {
    for (const subscription of this.#subscriptions) if (subscription.hears(channel)) yield subscription
  }

  /** The same as a number, at the cost of the selectors that match. */
  localSubscribers(channel: string): number {
    const counted = new Set<unknown>()
    let count = 0
    this.directory.match(channel, (selector) => {
      if (counted.has(selector)) return
      counted.add(selector)
      count += selector.subscriptions
      for (const subscription of selector.restricted) if (subscription.guard?.admits(channel) === false) count--
    })
    return count
  }

  stats(): HubStats {
    return { ...this.#subscriptions.stats, channels: this.directory.size, ...structuredClone(this.#stats) }
  }

  /** See ChannelHub. */
  close({ timeoutMs, retryMs }: HubCloseOptions): Promise<void> {
    if (this.#closing === undefined) {
      const time = integerOption('timeoutMs', timeoutMs, 10_000, 0, 3_600_000)
      this.#retryMs = parseRetryRange(retryMs)
      this.#hasRetryMs = retryMs !== undefined
      this.#closing = this.#close(time)
    }
    return this.#closing
  }

  /** Throws ERR_SSE_HUB_CLOSED after `close` was called. */
  assertOpen(): void {
    if (this.#closing === undefined) return
    const headers = this.#hasRetryMs && { 'Retry-After': `${Math.ceil(this.#shutdownRetryMs() / 1_000)}` }
    throw new SseError('ERR_SSE_HUB_CLOSED', 'The hub is closing. Try again later.', headers ? { headers } : {})
  }

  /** The reconnection time for a stream that is refused: one of the `retryMs` that `close` was given. */
  refusalRetryMs(stream: { readonly retryMs: number }): number {
    return this.#hasRetryMs ? this.#shutdownRetryMs() : stream.retryMs
  }

  #shutdownRetryMs(): number {
    const [least, most] = this.#retryMs
    return randomReconnectionTime(least, most - least + 1)
  }

  /** Throws ERR_SSE_OVERLOADED if there is no room for another stream. */
  assertRoom(address: string | undefined): void {
    this.#subscriptions.assertRoom(address)
  }

  /** Throws a TypeError when a subscription has this channel, or channels of this pattern. */
  assertUnused(name: string): void {
    if (!this.directory.overlaps(name)) return
    throw new TypeError(`snapshot() must be called before ${name} is subscribed.`)
  }

  // -- SubscriptionHost --

  assertSelection(names: readonly string[]): void {
    if (names.length === 0) throw new SseError('ERR_SSE_CHANNEL_REQUIRED', 'A subscription needs at least one channel.')
    const { maxChannelsPerSubscription: most } = this.options
    if (names.length > most) {
      throw new SseError(
        'ERR_SSE_TOO_MANY_CHANNELS',
        `A subscription must have at most ${most} channels (maxChannelsPerSubscription).`,
      )
    }
  }

  positionFrame(): Frame {
    const cursor = this.tail.top
    if (this.#position === undefined || !isSame(this.#position.cursor, cursor)) {
      this.#position = { cursor, frame: positionFrame(formatCursor(cursor)) }
    }
    return this.#position.frame
  }

  farewell(reason: CloseReason): Frame | undefined {
    if (reason === 'expired' || reason === 'revoked') return closedFrame(reason)
    if (reason !== 'shutdown') return undefined
    return closedFrame(reason, this.#shutdownRetryMs())
  }

  opened(subscription: StreamSubscription, beginning: Beginning): void {
    this.#stats.resumed[beginning]++
    this.emit('subscribe', subscription)
  }

  closed(subscription: StreamSubscription, reason: CloseReason, wasOpen: boolean): void {
    this.#subscriptions.delete(subscription)
    this.#handOver.unpark(subscription)
    if (!wasOpen) return
    this.#stats.closes[reason]++
    this.emit('unsubscribe', subscription, reason)
  }

  told(subscription: StreamSubscription, gap: Gap): void {
    this.#countGap(subscription, gap)
  }

  #countGap(subscription: Subscription, gap: Gap): void {
    this.#stats.gaps[gap.reason]++
    this.emit('gap', subscription, gap)
  }

  delivered(events: number): void {
    this.#stats.delivered += events
  }

  lagging(subscription: StreamSubscription): void {
    this.#stats.lagged++
    this.emit('lagging', subscription)
  }

  park(subscription: StreamSubscription, position: Cursor): void {
    this.#handOver.park(subscription, position)
  }

  failed(error: unknown, context: { channel?: string | undefined; refusal?: SseError | undefined } = {}): void {
    if (this.#reported.has(error as object)) return
    const { refusal, ...rest } = context
    if (refusal !== undefined) this.#reported.add(refusal)
    this.emit('error', error, rest)
  }

  betweenFanOuts(fn: () => void): void {
    this.#handOver.betweenFanOuts(fn)
  }

  #nextId(): string {
    return `s${(++this.#count).toString(36)}`
  }

  async #close(timeoutMs: number): Promise<void> {
    const { clock } = this.options
    const start = clock.monotonic()
    const left = () => Math.max(0, timeoutMs - (clock.monotonic() - start))
    // Accepted events are committed and written to every subscriber before any stream is ended.
    await within(this.#publisher.settled(), left(), clock)
    this.#publisher.abandon()
    for (const reader of [...this.readers]) reader.end()
    await endEvenly([...this.#subscriptions], left(), clock, (subscription) => subscription.close('shutdown'))
    await within(this.broker.close(), Math.max(left(), 1_000), clock)
  }
}
