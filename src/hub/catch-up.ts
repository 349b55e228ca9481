import type { Page } from '../broker/broker.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { Frame } from '../protocol/frame.ts'
import { StallWatch } from '../stall-watch.ts'
import type { ChannelSelector } from './channel.ts'
import type { Due, DueSnapshots, Taken } from './due-snapshots.ts'
import type { HubEnvironment } from './environment.ts'
import { type FollowedPage, Follower, type Start } from './follower.ts'
import { channelsOf, type Guard, sieve } from './guard.ts'
import { PageReader } from './page-reader.ts'
import type { Catching } from './pump.ts'
import type { Subscriber } from './subscriber.ts'

/** A page that was written. */
export interface WrittenPage {
  readonly bytes: number
  /** Reports the page to the application, which may close the subscription. */
  report(): void
}

/** Snapshots that wait to be written, one block after the other, with nothing between them. */
export interface FramedSnapshots {
  readonly blocks: Frame[]
  /** Reports them to the application when they are written. */
  report(): void
}

interface Writing extends FramedSnapshots {
  readonly next: FollowedPage
  readonly due: Due
  readonly taken: Taken
}

/** The part of a subscription that its catching up uses. */
export interface CatchingSubscription {
  readonly stream: Subscriber
  /** See LiveSubscription. */
  readonly guard: Guard | undefined
  /** See LiveSubscription. */
  isBehind(): boolean
  /** Asks the hook for a decision on these channels. Rejects without one. */
  decide(channels: readonly string[]): Promise<void>
  /** Present where channels have snapshots. */
  readonly snapshots: DueSnapshots | undefined
  /** Writes a page, and the blocks before it. Undefined if the subscription has ended instead. */
  write(next: FollowedPage): WrittenPage | undefined
  /** Sends the head, because the first block may take long. False if the subscription has ended instead. */
  sendHead(): boolean
  /** The snapshots in place of a page, block by block. */
  frame(next: FollowedPage, due: Due, taken: Taken): FramedSnapshots
  /** A function of the application failed: the subscription ends. */
  fail(error: unknown, detail: string): void
  /** The subscription is complete up to the position of the hub. The catching up ends with this call. */
  goLive(): void
  /** The subscription is complete up to a position after the hub's: `wake` is called when the hub has reached it. */
  park(): void
  /** A read failed. Reads have been failing for `forMs`. */
  readFailed(error: unknown, forMs: number): void
}

/**
 * Brings a subscription to the end of the log, page by page, in turns of the pump. It exists only while the subscription
 * is not live.
 */
export class CatchUp implements Catching {
  readonly #environment: HubEnvironment
  readonly #subscription: CatchingSubscription
  readonly #follower: Follower
  #selector: ChannelSelector
  /** Whether the subscription was live before. */
  readonly isLag: boolean
  /** The next page cannot be written before this; undefined = it may be written in the next turn. */
  #waitsFor: 'broker' | 'read' | 'decision' | 'snapshots' | 'drain' | 'hub' | undefined
  /** Snapshots that are being written at the pace of the peer. */
  #writing: Writing | undefined
  /** A page that was read or decided on, and waits for its turn. */
  #ready: FollowedPage | undefined
  #reader: PageReader | undefined
  /** Present while the peer lags. */
  #stall: StallWatch | undefined
  #onCaughtUp: (() => void)[] = []
  #stopped = false

  private constructor(
    environment: HubEnvironment,
    subscription: CatchingSubscription,
    selector: ChannelSelector,
    follower: Follower,
    isLag: boolean,
  ) {
    this.#environment = environment
    this.#subscription = subscription
    this.#selector = selector
    this.#follower = follower
    this.isLag = isLag
  }

  /** For a new subscription. It starts with `join`. */
  static start(
    environment: HubEnvironment,
    subscription: CatchingSubscription,
    selector: ChannelSelector,
    start: Start,
  ): CatchUp {
    const follower = Follower.start(environment, selector, start)
    const catchUp = new CatchUp(environment, subscription, selector, follower, false)
    catchUp.#waitsFor = 'broker'
    return catchUp
  }

  /** For a subscription that was live and is complete up to `position`. */
  static lag(
    environment: HubEnvironment,
    subscription: CatchingSubscription,
    selector: ChannelSelector,
    position: Cursor,
  ): CatchUp {
    const follower = Follower.resume(environment, selector, position)
    return new CatchUp(environment, subscription, selector, follower, true)
  }

  /** Everything up to here was written; undefined = the end of the log at the first read. */
  get position(): Cursor | undefined {
    return this.#follower.position
  }

  /** Whether the subscription is complete, and waits for the hub. */
  get isParked(): boolean {
    return this.#waitsFor === 'hub'
  }

  /** Whether the broker has not confirmed the selector of a new subscription. */
  get isJoining(): boolean {
    return this.#waitsFor === 'broker'
  }

  /** The broker confirms the selector before the first read, so no event in between is lost. */
  async join(): Promise<void> {
    const { broker, ready } = this.#environment
    const selector = this.#selector
    await ready
    if (this.#stopped) return
    await broker.subscribe(selector)
    if (this.#stopped) broker.unsubscribe(selector)
    else this.#proceed()
  }

  /** The hub has reached the position of a parked subscription, or the position of the hub is uncertain. */
  wake(): void {
    if (this.isParked) this.#proceed()
  }

  /** Waits until the peer has drained, or until the stall watch ends the stream as slow. */
  awaitDrain(): void {
    const { clock, maxLagMs } = this.#environment.options
    const { stream } = this.#subscription
    this.#waitsFor = 'drain'
    this.#stall = new StallWatch(clock, maxLagMs, stream, () => stream.close('slow'))
    this.#stall.start()
    stream.onDrain(() => {
      this.#stall?.stop()
      this.#stall = undefined
      this.#proceed()
    })
  }

  /**
   * Follows these channels from its position on. A page of the earlier channels is dropped, and so is a read of them.
   */
  select(selector: ChannelSelector): void {
    this.#selector = selector
    this.#follower.select(selector)
    this.#ready = undefined
    this.#reader?.cancel()
    this.#subscription.snapshots?.select(selector)
    if (!['decision', 'snapshots', 'drain'].includes(this.#waitsFor!)) this.#proceed()
  }

  /** Resolves when no event of the current channels is outstanding, or after it was stopped. */
  async caughtUp(): Promise<void> {
    while (!this.#stopped && !this.isParked) {
      await new Promise<void>((resolve) => this.#onCaughtUp.push(resolve))
    }
  }

  /** Ends it. Idempotent. */
  stop(): void {
    this.#stopped = true
    this.#environment.pump.delete(this)
    this.#reader?.cancel()
    this.#stall?.stop()
    this.#settle()
  }

  /** See Catching. */
  step(): number {
    if (this.#stopped || this.#waitsFor !== undefined) return 0
    if (this.#writing !== undefined) return this.#writeBlocks(this.#writing)
    let next = this.#ready
    this.#ready = undefined
    if (next === undefined) {
      if (this.#follower.isAheadOfHub) {
        this.#park()
        return 0
      }
      next = this.#follower.recent()
    }
    if (next === undefined) {
      this.#read()
      return 0
    }
    const page = this.#admitted(next)
    return page === undefined ? 0 : this.#serve({ ...next, page })
  }

  /** Writes the page, or first what its channels need to be whole. */
  #serve(next: FollowedPage): number {
    const { snapshots } = this.#subscription
    if (snapshots === undefined) return this.#write(next)
    const trimmed = snapshots.trim(next)
    const due = snapshots.before(trimmed)
    if (due === undefined) return this.#write(trimmed)
    this.#waitsFor = 'snapshots'
    this.#take(snapshots, trimmed, due).catch((error) => this.#subscription.fail(error, 'A snapshot failed.'))
    return 0
  }

  async #take(snapshots: DueSnapshots, next: FollowedPage, due: Due): Promise<void> {
    const selector = this.#selector
    if (!this.#subscription.sendHead()) return
    const taken = await snapshots.take(due, (channels) => this.#admit(channels))
    if (this.#stopped) return
    // If the channels or the epoch have changed meanwhile, the page is read anew.
    if (selector !== this.#selector || taken.isStale) {
      this.#follower.dropPage()
      return this.#proceed()
    }
    if (taken.snapshots.length + taken.listings.length > 0) {
      this.#writing = { ...this.#subscription.frame(next, due, taken), next, due, taken }
      this.#proceed()
      return
    }
    snapshots.done(due, taken)
    this.#waitsFor = undefined
    this.#write(next)
  }

  /** The channels of a list that the hook admits. */
  async #admit(channels: readonly string[]): Promise<readonly string[]> {
    const { guard } = this.#subscription
    if (guard === undefined) return channels
    await guard.decide(channels.filter((channel) => guard.admits(channel) === undefined))
    return channels.filter((channel) => guard.admits(channel) === true)
  }

  #writeBlocks({ blocks, next, due, taken, report }: Writing): number {
    let bytes = 0
    for (let frame = blocks.shift(); frame !== undefined; frame = blocks.shift()) {
      this.#subscription.stream.write(frame)
      bytes += frame.length
      if (this.#stopped) return bytes
      if (blocks.length > 0 && this.#subscription.isBehind()) {
        this.awaitDrain()
        return bytes
      }
    }
    this.#writing = undefined
    this.#follower.restart(due.at)
    this.#subscription.snapshots!.done(due, taken)
    // The events of a rewind follow the snapshots: the log may keep more events after that position.
    if (next.isRewind) this.#ready = { ...next, after: due.at, status: 'ok', isRewind: false }
    if (this.#subscription.isBehind()) this.awaitDrain()
    else this.#environment.pump.add(this)
    report()
    return bytes
  }

  #proceed(): void {
    this.#waitsFor = undefined
    if (!this.#stopped) this.#environment.pump.add(this)
  }

  #read(): void {
    const { clock } = this.#environment.options
    this.#waitsFor = 'read'
    this.#reader ??= new PageReader(clock, {
      arrived: (next) => {
        this.#ready = next
        this.#proceed()
      },
      failed: (error, forMs) => this.#subscription.readFailed(error, forMs),
      retry: () => this.#proceed(),
    })
    this.#reader.read(this.#follower)
  }

  /** The page without the channels that a hook denies; undefined while the hook decides. */
  #admitted(next: FollowedPage): Page | undefined {
    const { guard } = this.#subscription
    if (guard === undefined) return next.page
    const undecided = channelsOf(next.page).filter((channel) => guard.admits(channel) === undefined)
    if (undecided.length === 0) return sieve(next.page, (channel) => guard.admits(channel) === true)
    this.#waitsFor = 'decision'
    this.#decide(next, undecided)
    return undefined
  }

  async #decide(next: FollowedPage, undecided: readonly string[]): Promise<void> {
    const selector = this.#selector
    try {
      await this.#subscription.decide(undecided)
    } catch (error) {
      this.#subscription.fail(error, 'The permission for a channel could not be decided.')
      return
    }
    // The channels may have changed since: the page is then useless.
    if (selector === this.#selector) this.#ready = next
    this.#proceed()
  }

  /**
   * Writes a page and decides on the next step. Synchronous throughout, so the broker cannot hand an event over in
   * between.
   */
  #write(next: FollowedPage): number {
    const written = this.#subscription.write(next)
    if (written === undefined) return 0
    this.#follower.advance(next)
    this.#subscription.snapshots?.advance(next)
    if (this.#subscription.isBehind()) this.awaitDrain()
    else if (next.page.end && this.#follower.isAheadOfHub) this.#park()
    else if (next.page.end && this.#follower.isAtEnd) this.#subscription.goLive()
    else this.#environment.pump.add(this)
    // Application code comes last: the state is consistent then, and it may close the subscription.
    written.report()
    return written.bytes
  }

  #park(): void {
    this.#waitsFor = 'hub'
    this.#subscription.park()
    this.#settle()
  }

  #settle(): void {
    const waiting = this.#onCaughtUp
    this.#onCaughtUp = []
    for (const resolve of waiting) resolve()
  }
}
