import { isLoss, type Page } from '../broker/broker.ts'
import { type ChannelSelection, isPattern, parseSelection } from '../channel-name.ts'
import { type CloseReason, isSseError, SseError } from '../errors.ts'
import { type Cursor, formatCursor, parseCursor } from '../protocol/cursor.ts'
import { Frame, type FrameForm } from '../protocol/frame.ts'
import { StallWatch } from '../stall-watch.ts'
import type { ChannelSelector } from './channel.ts'
import { Expiry } from './expiry.ts'
import { type Authorize, channelsOf, Guard, sieve } from './guard.ts'
import { type Fault, type Gap, gapNotice, type OpenData, openNotice } from './notice.ts'
import { PageSource } from './page-source.ts'
import { replayOf } from './replay.ts'
import type { SubscribeRequest } from './subscribe-request.ts'
import type { Outlet, Subscriber } from './subscriber.ts'
import type { SubscriptionHost } from './subscription-host.ts'

/** How long the head of a stream waits for the first page; then the client is told to come back. */
const FIRST_PAGE_MS = 5_000

// It is a LiveSubscription and Catching without saying so: the published types lack those members, and would not hold.

/**
 * One subscriber: a position in the log and a set of channels.
 *
 * joining -> catching -> live | parked; any -> closed. Catching is replaying before the first time live and lagging
 * after it; it is served page by page from the log. Live is reached only when, in one synchronous step, the page just
 * written was the end of the log and its position equals the hub's.
 */
export class Subscription {
  readonly id: string
  /** What `subscribe` was given as `info`, or the router's hook returned: to recognise it by. */
  readonly info: unknown
  /** @internal */
  readonly form: FrameForm
  /** @internal */
  place = -1
  /** @internal */
  readonly stream: Subscriber
  /** @internal Whose it is, where that is counted. */
  readonly address: string | undefined

  // Most subscriptions are live and idle, thousands of them: what only some need, or only for a while, is made when it is
  // needed and let go of afterwards, and there is no closure that a method could be instead.
  readonly #host: SubscriptionHost<Subscription>
  readonly #since: number
  readonly #after: string
  readonly #authorize: Authorize | undefined
  /** Present where each channel of a pattern is decided by itself. */
  #guard: Guard | undefined
  #admits: ((channel: string) => boolean | undefined) | undefined
  #names: readonly string[]
  #selector: ChannelSelector
  #phase: 'joining' | 'catching' | 'live' | 'parked' | 'closed' = 'joining'
  /** Everything up to here has been written. Stored in all phases but live, where it is the hub's; undefined = the end. */
  #position: Cursor | undefined
  /** Bytes that may wait before it is no longer live. */
  #mark = 0
  /** The first block is out. */
  #opened = false
  #wasLive = false
  #resumed = false
  /** What is wrong with the position it came with, told with the first page. */
  #fault: Fault | undefined
  /** Kept events of each channel to begin with where there is no usable position. */
  readonly #rewind: number
  /** The next page is so many of the latest events, not those after a position; 0 = no. */
  #latest = 0
  /** A page that has been read or decided on and waits for its turn in the pump. */
  #ready: Page | undefined
  /** A hook is being asked about the channels of a page. */
  #deciding = false
  /** The peer is behind, and 'drain' will come. */
  #draining = false
  /** Settles with the last change of the channels. */
  #changing: Promise<void> | undefined
  #onCaughtUp: (() => void)[] | undefined
  /** The hub's position at the last heartbeat. */
  #told: Cursor | undefined
  #firstPageTimer: unknown
  /** While the peer is behind. */
  #lag: StallWatch | undefined
  /** Where it has an end. */
  #expiry: Expiry | undefined
  /** While it is catching up or parked. */
  #source: PageSource | undefined
  #settle: { resolve: () => void; reject: (error: unknown) => void } | undefined

  /** @internal */
  constructor(host: SubscriptionHost<Subscription>, stream: Subscriber, init: SubscribeRequest, id: string) {
    this.id = id
    this.info = init.info
    this.form = init.form
    this.stream = stream
    this.address = init.address
    this.#host = host
    this.#since = host.options.clock.now()
    this.#authorize = init.authorize
    this.#after = init.after
    this.#rewind = init.rewind
    this.#selector = host.directory.acquire(init.names)
    this.#names = sharedNames(this.#selector, init.names)
    this.#position = parseCursor(init.after)
    if (this.#position === undefined) {
      if (init.after !== '') this.#fault = 'bad-cursor'
      this.#latest = init.rewind
    }
  }

  /** When it was made. */
  get since(): Date {
    return new Date(this.#since)
  }

  /** The channels and patterns it was made with, and those added since. */
  get channels(): readonly string[] {
    return this.#names
  }

  /** Everything up to this event ID has been sent. */
  get position(): string {
    const position = this.#phase === 'live' ? this.#host.tail.top : this.#position
    return position === undefined ? '' : formatCursor(position)
  }

  /** Whether the position it came with was accepted. Trimmed gaps may have followed nevertheless. */
  get resumed(): boolean {
    return this.#resumed
  }

  get state(): 'replaying' | 'live' | 'lagging' | 'closed' {
    if (this.#phase === 'live' || this.#phase === 'closed') return this.#phase
    return this.#wasLive ? 'lagging' : 'replaying'
  }

  /**
   * Adds channels or patterns, which start at the position of the stream. Resolves when the broker hands them over;
   * rejects, with nothing changed, for bad names and too many of them (ERR_SSE_CHANNEL_NAME, ERR_SSE_TOO_MANY_CHANNELS).
   */
  add(channels: ChannelSelection): Promise<void> {
    return this.#change(channels, (names, added) => [...new Set([...names, ...added])])
  }

  /**
   * Removes channels or patterns, as they were asked for; at least one stays (ERR_SSE_CHANNEL_REQUIRED). Resolves when
   * they are gone: a subscription that is catching up first receives what it still lacks of them, or the gap.
   */
  remove(channels: ChannelSelection): Promise<void> {
    return this.#change(channels, (names, removed) => names.filter((name) => !removed.includes(name)))
  }

  /** Ends the subscription and its stream. Idempotent. */
  close(reason: CloseReason = 'server'): void {
    if (this.#phase === 'closed') return
    if (this.#opened) this.stream.close(reason)
    else
      this.#refuse(
        new SseError('ERR_SSE_OVERLOADED', 'The subscription ended before its first event: come back later.'),
      )
  }

  // -- what follows is the hub's --

  /**
   * @internal Resolves when the first block is written or the client has left. Rejects, with the stream untouched, when
   * the broker cannot serve it.
   */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject }
      // First of all: the client may leave during every await that follows.
      try {
        this.stream.claim(this)
      } catch (error) {
        return this.#refuse(error)
      }
      if (this.stream.state === 'closed') return this.#leave('client')
      this.#expectFirstPage()
      this.#join().catch((error) => this.#refuse(this.#unavailable(error)))
    })
  }

  #expectFirstPage(): void {
    this.#firstPageTimer = this.#host.options.clock.setTimeout(() => {
      this.#refuse(new SseError('ERR_SSE_OVERLOADED', `The broker did not answer within ${FIRST_PAGE_MS} ms.`))
    }, FIRST_PAGE_MS)
  }

  /** joining -> catching. The broker has the selector before anything is read: what is published meanwhile is not lost. */
  async #join(): Promise<void> {
    const { broker, ready, pump } = this.#host
    const selector = this.#selector
    await ready
    if (this.#isClosed()) return
    await broker.subscribe(selector)
    if (this.#isClosed()) return broker.unsubscribe(selector)
    this.#phase = 'catching'
    pump.add(this)
  }

  /** @internal Ends it at this time of the wall clock, unless it ends earlier already. */
  expire(until: number): void {
    this.#expiry ??= new Expiry(this.#host.options.clock, () => this.close('expired'))
    this.#expiry.until(until)
  }

  /** @internal See LiveSubscription. */
  get admits(): ((channel: string) => boolean | undefined) | undefined {
    if (this.#authorize === undefined || this.#selector.patterns.length === 0) return undefined
    this.#guard ??= new Guard(this.#authorize, this.#host.options.clock, ({ until }) => {
      if (until !== undefined) this.expire(until)
    })
    this.#admits ??= (channel) =>
      // What was asked for by its own name has been decided with the request; a pattern is told as it was asked for.
      isPattern(channel) || this.#selector.includes(channel) || this.#guard!.admits(channel)
    return this.#admits
  }

  /** @internal See LiveSubscription. */
  get outlet(): Outlet {
    return this.stream.outlet
  }

  /** @internal See LiveSubscription. */
  isBehind(): boolean {
    return this.stream.bufferedBytes > this.#mark
  }

  /** @internal Whether it is open and hears this channel, unless a hook has denied it. */
  hears(channel: string): boolean {
    return (
      this.#opened && this.#phase !== 'closed' && this.#selector.matches(channel) && this.admits?.(channel) !== false
    )
  }

  /** @internal live -> catching, at the hub's position, because its peer is too far behind. */
  fallBehind(): void {
    if (this.#phase !== 'live') return
    if (this.#host.options.slowSubscriber === 'disconnect') return this.stream.close('slow')
    this.#demote(this.#host.tail.top)
    this.#awaitDrain()
    this.#host.lagging(this)
  }

  /** @internal live | parked -> catching. A live one is complete only up to `position`. */
  catchUp(position: Cursor): void {
    if (this.#phase === 'live') this.#demote(position)
    else if (this.#phase === 'parked') this.#phase = 'catching'
    else return
    this.#host.pump.add(this)
  }

  /** @internal The position of a parked one, for the hub to compare with its own. */
  get parkedAt(): Cursor | undefined {
    return this.#phase === 'parked' ? this.#position : undefined
  }

  /** @internal See Catching. */
  step(): number {
    if (this.#phase !== 'catching' || this.#deciding || this.#draining || this.#pages.isReading) return 0
    let page = this.#ready
    this.#ready = undefined
    if (page === undefined && this.#pages.reachedEnd) {
      if (this.#isAhead(this.#position!)) {
        this.#park()
        return 0
      }
      page = this.#pages.recent(this.#position!, this.#selector)
    }
    if (page === undefined) {
      this.#pages.read(this.#position, this.#selector, this.#latest)
      return 0
    }
    const admitted = this.#admitted(page)
    return admitted === undefined ? 0 : this.#apply(admitted)
  }

  /** Whether the position has not been handed to the hub yet: a read overtook it. */
  #isAhead(position: Cursor): boolean {
    const top = this.#host.tail.top
    return position.epoch === top.epoch && position.seq > top.seq
  }

  /** idle -> open, with the first page at hand. False when there is nothing to write to. */
  #commit(first: readonly Frame[]): boolean {
    try {
      if (this.stream.commit(first)) return true
      this.#leave('client')
    } catch (error) {
      // Somebody else has begun to answer.
      this.#refuse(error)
    }
    return false
  }

  /** @internal See PageReceiver. */
  arrived(page: Page): void {
    if (!this.#opened && page.status === 'unknown-epoch' && this.#rewind > 0) {
      this.#fault = 'unknown-epoch'
      this.#latest = this.#rewind
    } else {
      this.#ready = page
    }
    this.#host.pump.add(this)
  }

  /** @internal See PageReceiver. */
  failed(error: unknown, forMs: number): void {
    const { maxLagMs } = this.#host.options
    this.#host.failed(error)
    if (this.#opened && maxLagMs > 0 && forMs > maxLagMs) this.stream.close('error')
  }

  /** @internal See PageReceiver. */
  again(): void {
    this.#host.pump.add(this)
  }

  /** Where its pages come from. One that was live has all up to its position, so memory can serve it at once. */
  get #pages(): PageSource {
    const { tail, reads, options } = this.#host
    this.#source ??= new PageSource({ tail, reads, clock: options.clock }, this, this.#wasLive)
    return this.#source
  }

  /** The page without what a hook denies; undefined while that is being asked. */
  #admitted(page: Page): Page | undefined {
    const { admits } = this
    if (admits === undefined) return page
    const undecided = channelsOf(page).filter((channel) => admits(channel) === undefined)
    if (undecided.length === 0) return sieve(page, (channel) => admits(channel) === true)
    this.#decide(page, undecided)
    return undefined
  }

  #decide(page: Page, channels: readonly string[]): void {
    this.#deciding = true
    // The hook has a time limit of its own.
    this.#host.options.clock.clearTimeout(this.#firstPageTimer)
    const selector = this.#selector
    this.#guard!.decide(channels)
      .then(
        () => {
          // Of a page for channels that have changed meanwhile nothing is of use.
          if (selector === this.#selector) this.#ready = page
        },
        (error) => this.#undecidable(error),
      )
      .then(() => {
        this.#deciding = false
        if (this.#phase !== 'catching') return
        if (!this.#opened) this.#expectFirstPage()
        this.#host.pump.add(this)
      })
  }

  #undecidable(error: unknown): void {
    if (this.#phase === 'closed') return
    this.#host.failed(error)
    if (this.#opened) this.stream.close('error')
    else this.#refuse(new SseError('ERR_SSE_OVERLOADED', 'The permission for a channel could not be decided.'))
  }

  /** Writes a page and decides what comes next. Synchronous throughout: nothing can be handed over in between. */
  #apply(page: Page): number {
    const { tail, pump } = this.#host
    const { stream } = this
    let status: 'ok' | Fault = page.status
    let from = this.#position === undefined ? formatCursor(page.from) : formatCursor(this.#position)
    if (!this.#opened) {
      status = this.#fault ?? status
      from = this.#after === '' ? from : this.#after
    }
    const gaps: Gap[] = []
    const notice = this.#announce(page, status, from, gaps)
    const replay = replayOf(page, this.form, from)
    const frames = [notice, replay.frame].filter((frame) => frame !== undefined)
    if (this.#opened) for (const frame of frames) stream.write(frame)
    else if (!this.#commit(frames)) return 0
    this.#host.replayed(replay.events)
    gaps.push(...replay.gaps)
    this.#position = page.upto
    this.#latest = 0
    const first = !this.#opened
    if (first) this.#open()
    if (stream.bufferedBytes > this.#mark) this.#awaitDrain()
    else if (page.end && this.#isAhead(page.upto)) this.#park()
    else if (page.end && isSame(page.upto, tail.top)) this.#goLive()
    else pump.add(this)
    // Foreign code comes last: it finds everything in place, and may end it.
    if (first) {
      this.#host.opened(this, status !== 'ok' ? status : this.#resumed ? 'resumed' : 'new')
      this.#settle?.resolve()
      this.#settle = undefined
    }
    for (const gap of gaps) this.#host.told(this, gap)
    return frames.reduce((bytes, frame) => bytes + frame.length, 0)
  }

  /** The blocks before the items of a page: `hub.open` before the first, `hub.gap` when the position was not good. */
  #announce(page: Page, status: 'ok' | Fault, from: string, gaps: Gap[]): Frame | undefined {
    if (this.#opened && status === 'ok') return undefined
    const to = formatCursor(page.from)
    const { stream } = this
    let text = ''
    if (!this.#opened) {
      this.#resumed = status === 'ok' && this.#after !== ''
      const { heartbeatIntervalMs } = stream
      const data = {
        channels: this.#names,
        resumed: this.#resumed,
        heartbeatIntervalMs,
        envelope: this.form === 'envelope',
        rewind: this.#latest > 0 ? rewindOf(page) : undefined,
      }
      // With an id here, a cut before the gap would resume as if nothing had been missing.
      text += openNotice(stream.retryMs, status === 'ok' ? to : undefined, data)
    }
    if (status !== 'ok') {
      const gap = { reason: status, channels: this.#names, from: status === 'bad-cursor' ? null : from, to }
      text += gapNotice(gap)
      gaps.push(gap)
    }
    return Frame.of(text)
  }

  #count(selector: ChannelSelector, change: 1 | -1): void {
    selector.subscriptions += change
    if (change === -1) selector.restricted.delete(this)
    else if (this.admits !== undefined) selector.restricted.add(this)
  }

  #open(): void {
    this.#opened = true
    this.#count(this.#selector, 1)
    this.#mark = Math.max(this.#host.options.highWaterMarkBytes, this.stream.highWaterMark)
    this.#host.options.clock.clearTimeout(this.#firstPageTimer)
    this.#firstPageTimer = undefined
  }

  #goLive(): void {
    this.#phase = 'live'
    this.#wasLive = true
    this.#position = undefined
    this.#source = undefined
    this.#told = this.#host.tail.top
    this.#selector.enter(this)
    this.#nowCaughtUp()
  }

  #park(): void {
    this.#phase = 'parked'
    this.#host.park(this)
    this.#nowCaughtUp()
  }

  #demote(position: Cursor): void {
    this.#selector.leave(this)
    this.#phase = 'catching'
    this.#position = position
  }

  #awaitDrain(): void {
    const { clock, maxLagMs } = this.#host.options
    this.#draining = true
    this.#lag = new StallWatch(clock, maxLagMs, this.stream, () => this.stream.close('slow'))
    this.#lag.start()
    this.stream.onDrain(() => {
      this.#draining = false
      this.#lag?.stop()
      this.#lag = undefined
      if (this.#phase === 'catching') this.#host.pump.add(this)
    })
  }

  async #change(
    channels: ChannelSelection,
    to: (names: readonly string[], changed: readonly string[]) => readonly string[],
  ): Promise<void> {
    const changed = parseSelection(channels)
    const change = (this.#changing ?? Promise.resolve()).then(() => this.#swap((names) => to(names, changed)))
    this.#changing = change.catch(() => {})
    await change
  }

  /** Until nothing of the present channels is outstanding. */
  async #caughtUp(): Promise<void> {
    while (this.#phase === 'joining' || this.#phase === 'catching') {
      await new Promise<void>((resolve) => {
        this.#onCaughtUp ??= []
        this.#onCaughtUp.push(resolve)
      })
    }
  }

  #nowCaughtUp(): void {
    const waiting = this.#onCaughtUp
    this.#onCaughtUp = undefined
    for (const resolve of waiting ?? []) resolve()
  }

  async #swap(to: (names: readonly string[]) => readonly string[]): Promise<void> {
    const { broker, directory, pump, tail } = this.#host
    this.#host.assertSelection(to(this.#names))
    // What is removed is delivered, or reported as lost, up to here.
    if (!this.#names.every((name) => to(this.#names).includes(name))) await this.#caughtUp()
    if (this.#isClosed()) return
    const names = to(this.#names)
    if (names.length === this.#names.length && names.every((name, i) => name === this.#names[i])) return
    const next = directory.acquire(names)
    try {
      await broker.subscribe(next)
    } catch (error) {
      directory.release(next)
      throw error
    }
    if (this.#isClosed()) {
      broker.unsubscribe(next)
      directory.release(next)
      return
    }
    // In one synchronous step: the position is taken, and from there on the new selector is read.
    if (this.#phase === 'live') this.#demote(tail.top)
    this.#phase = 'catching'
    const old = this.#selector
    this.#names = sharedNames(next, names)
    this.#selector = next
    this.#ready = undefined
    // What is under way is for the old one, and of what the new one has memory knows nothing yet.
    this.#pages.reset()
    if (this.#opened) {
      this.#count(old, -1)
      this.#count(next, 1)
    }
    pump.add(this)
    broker.unsubscribe(old)
    directory.release(old)
  }

  /** A call, because it changes under an await. */
  #isClosed(): boolean {
    return this.#phase === 'closed'
  }

  /** @internal See SubscriberOwner. */
  get maxLagMs(): number {
    return this.#host.options.maxLagMs
  }

  /** @internal See SubscriberOwner. */
  tick(): void {
    this.#expiry?.check()
  }

  /** @internal See SubscriberOwner. */
  heartbeat(): Frame | undefined {
    if (this.#phase !== 'live') return undefined
    const top = this.#host.tail.top
    const told = this.#told
    this.#told = top
    return told !== undefined && isSame(told, top) ? undefined : this.#host.positionFrame()
  }

  /** @internal See SubscriberOwner. */
  farewell(reason: CloseReason): Frame | undefined {
    return this.#opened ? this.#host.farewell(reason) : undefined
  }

  /** @internal See SubscriberOwner. */
  closed(reason: CloseReason): void {
    this.#leave(reason)
  }

  /** What the broker failed with, as a refusal that passes: a status of 500 would end an EventSource for good. */
  #unavailable(error: unknown): unknown {
    if (isSseError(error)) return error
    const refusal = new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'The broker failed: come back later.', { cause: error })
    this.#host.failed(error, { refusal })
    return refusal
  }

  /** joining -> closed with the stream untouched, so that somebody can still answer the request. */
  #refuse(error: unknown): void {
    if (this.#phase === 'closed') return
    this.stream.release(this)
    this.#settle?.reject(error)
    this.#leave('error')
  }

  /** any -> closed. The one place that lets go of everything. */
  #leave(reason: CloseReason): void {
    if (this.#phase === 'closed') return
    const { broker, directory, pump, options, tail } = this.#host
    const joined = this.#phase !== 'joining'
    if (this.#phase === 'live') this.#position = tail.top
    const selector = this.#selector
    this.#host.betweenFanOuts(() => selector.leave(this))
    this.#phase = 'closed'
    pump.delete(this)
    this.#ready = undefined
    this.#lag?.stop()
    this.#source?.stop()
    this.#expiry?.stop()
    options.clock.clearTimeout(this.#firstPageTimer)
    if (joined) broker.unsubscribe(selector)
    if (this.#opened) this.#count(selector, -1)
    directory.release(selector)
    this.#host.closed(this, reason, this.#opened)
    this.#settle?.resolve()
    this.#nowCaughtUp()
  }
}

/** The names as an array that everybody with the same names in the same order has. */
function sharedNames({ names: shared }: ChannelSelector, names: readonly string[]): readonly string[] {
  return names.length === shared.length && names.every((name, i) => name === shared[i]) ? shared : names
}

function isSame(one: Cursor, other: Cursor): boolean {
  return one.seq === other.seq && one.epoch === other.epoch
}

/** What a rewind page is: how many events, and whether a channel had earlier ones. */
function rewindOf({ items }: Page): OpenData['rewind'] {
  const seen = new Set<string>()
  let earlier = false
  for (const item of items) {
    if (isLoss(item) || seen.has(item.channel)) continue
    seen.add(item.channel)
    earlier ||= item.prev > 0
  }
  return { events: items.length, earlier }
}
