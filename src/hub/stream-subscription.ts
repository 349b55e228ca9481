import type { ChannelSelection } from '../channel-name.ts'
import { type CloseReason, SseError } from '../errors.ts'
import { type Cursor, formatCursor, isSame } from '../protocol/cursor.ts'
import type { Frame, FrameForm } from '../protocol/frame.ts'
import { type CatchingSubscription, CatchUp, type FramedSnapshots, type WrittenPage } from './catch-up.ts'
import type { ChannelSelector, LiveSubscription } from './channel.ts'
import { type ChangingSubscription, ChannelChanges, sharedNames } from './channel-change.ts'
import { type Due, type DueSnapshots, dueSnapshots, gapBeside, type Taken } from './due-snapshots.ts'
import type { FollowedPage } from './follower.ts'
import type { Guard } from './guard.ts'
import type { Gap } from './notice.ts'
import { asRefusal, Opening } from './opening.ts'
import { type Beginning, pageFrames, snapshotFrames } from './page-frames.ts'
import { Permission } from './permission.ts'
import type { SubscribeRequest } from './subscribe-request.ts'
import type { Outlet, Subscriber, SubscriberOwner } from './subscriber.ts'
import type { Subscription } from './subscription.ts'
import type { SubscriptionHost } from './subscription-host.ts'

/**
 * The subscription of one stream.
 *
 * catching up -> live, and back; any -> closed. It is live while it has no CatchUp and is not closed: its position is
 * then the hub's. It becomes live only when, in one synchronous step, the page just written was the end of the log and
 * its position equals the hub's.
 *
 * Thousands of subscriptions are live and idle. So an object that only some need, or only for a while, is made on
 * demand, and no closure is kept where a method would do.
 */
export class StreamSubscription
  implements Subscription, LiveSubscription, SubscriberOwner, CatchingSubscription, ChangingSubscription
{
  readonly id: string
  readonly info: unknown
  readonly form: FrameForm
  readonly stream: Subscriber
  /** The address that it counts for, if streams are counted by address. */
  readonly address: string | undefined
  place = -1
  resumed = false
  readonly #host: SubscriptionHost<StreamSubscription>
  readonly #since: number
  #names: readonly string[]
  #selector: ChannelSelector
  /** Present until the first block is written. */
  #opening: Opening | undefined
  /** Present while it is not live. */
  #catchUp: CatchUp | undefined
  /** Its last position, as text; undefined while it is not closed. */
  #closedAt: string | undefined
  /** Bytes that may wait before it is no longer live. */
  #highWaterMark = 0
  /** The hub's position at the last heartbeat. */
  #told: Cursor | undefined
  /** Present if the permission has an end, or a hook decides on channels. */
  readonly #permission: Permission | undefined
  /** Where channels have snapshots, and the subscriber wants them. */
  readonly snapshots: DueSnapshots | undefined
  /** Made with the first change of the channels. */
  #changing: ChannelChanges | undefined

  constructor(host: SubscriptionHost<StreamSubscription>, stream: Subscriber, request: SubscribeRequest, id: string) {
    this.id = id
    this.info = request.info
    this.form = request.form
    this.stream = stream
    this.address = request.address
    this.#host = host
    this.#since = host.options.clock.now()
    if (request.authorize !== undefined || request.until !== undefined) {
      this.#permission = new Permission(host.options.clock, request, () => this.close('expired'))
    }
    this.#selector = host.directory.acquire(request.names)
    this.#names = sharedNames(this.#selector, request.names)
    this.snapshots = dueSnapshots(host.snapshots, this.#selector, request)
    if (this.guard !== undefined) this.snapshots?.expectPatterns()
    this.#opening = new Opening(stream, host.options.clock, request.after, (error) => this.#refuse(error))
    this.#catchUp = CatchUp.start(host, this, this.#selector, request)
  }

  // -- Subscription --

  get since(): Date {
    return new Date(this.#since)
  }

  get channels(): readonly string[] {
    return this.#names
  }

  get position(): string {
    if (this.#closedAt !== undefined) return this.#closedAt
    const position = this.#catchUp === undefined ? this.#host.tail.top : this.#catchUp.position
    return position === undefined ? '' : formatCursor(position)
  }

  get state(): 'replaying' | 'live' | 'lagging' | 'closed' {
    if (this.#isClosed()) return 'closed'
    if (this.#catchUp === undefined) return 'live'
    return this.#catchUp.isLag ? 'lagging' : 'replaying'
  }

  add(channels: ChannelSelection): Promise<void> {
    return this.#changes().add(channels)
  }

  remove(channels: ChannelSelection): Promise<void> {
    return this.#changes().remove(channels)
  }

  #changes(): ChannelChanges {
    this.#changing ??= new ChannelChanges(this.#host, this, this.#opening?.begun)
    return this.#changing
  }

  close(reason: CloseReason = 'server'): void {
    if (this.#isClosed()) return
    if (this.#hasHead()) this.stream.close(reason)
    else this.#refuse(new SseError('ERR_SSE_OVERLOADED', 'The subscription ended before its first event: come back.'))
  }

  // -- its beginning, and its end --

  /** Resolves when the first block is written or the client has left. Rejects, with the stream untouched, if refused. */
  start(): Promise<void> {
    const opening = this.#opening!
    // First: the client may leave during every following await.
    try {
      this.stream.claim(this)
    } catch (error) {
      this.#refuse(error)
      return opening.begun
    }
    if (this.stream.state === 'closed') this.#leave('client')
    else this.#join(opening)
    return opening.begun
  }

  async #join(opening: Opening): Promise<void> {
    opening.expectPage()
    try {
      await this.#catchUp!.join()
    } catch (error) {
      const refusal = asRefusal(error)
      if (refusal !== error) this.#host.failed(error, { refusal })
      this.#refuse(refusal)
    }
  }

  /** Closes it before its first block, without touching the stream, so that the request can still be answered. */
  #refuse(error: unknown): void {
    if (this.#isClosed()) return
    this.stream.release(this)
    this.#opening?.refuse(error)
    this.#leave('error')
  }

  /** The only place that releases everything. */
  #leave(reason: CloseReason): void {
    if (this.#isClosed()) return
    const { broker, directory } = this.#host
    const selector = this.#selector
    const opening = this.#opening
    this.#host.betweenFanOuts(() => selector.leave(this))
    this.#closedAt = this.position
    if (!this.#catchUp?.isJoining) broker.unsubscribe(selector)
    this.#catchUp?.stop()
    this.#catchUp = undefined
    this.#opening = undefined
    this.#permission?.stop()
    this.snapshots?.stop()
    if (opening === undefined) selector.count(this, -1)
    directory.release(selector)
    this.#host.closed(this, reason, opening === undefined)
    opening?.end()
  }

  /** A function, because the state changes during an await. */
  #isClosed(): boolean {
    return this.#closedAt !== undefined
  }

  // -- LiveSubscription --

  get outlet(): Outlet {
    return this.stream.outlet
  }

  get guard(): Guard | undefined {
    return this.#permission?.guard(this.#selector)
  }

  isBehind(): boolean {
    return this.stream.bufferedBytes > this.#highWaterMark
  }

  fallBehind(): void {
    if (this.state !== 'live') return
    if (this.#host.options.slowSubscriber === 'disconnect') return this.stream.close('slow')
    this.#demote(this.#host.tail.top).awaitDrain()
    this.#host.lagging(this)
  }

  catchUpFrom(position: Cursor): void {
    if (this.state === 'live') this.#host.pump.add(this.#demote(position))
    else if (this.#catchUp?.isParked) this.#catchUp.wake()
  }

  told(gap: Gap): void {
    this.#host.told(this, gap)
  }

  askFor(channel: string): void {
    this.guard?.ask(channel).catch((error) => this.fail(error, 'The permission for a channel could not be decided.'))
  }

  /** Whether it is open and receives this channel, unless a hook has denied it. */
  hears(channel: string): boolean {
    if (this.#opening !== undefined || this.#isClosed()) return false
    return this.#selector.matches(channel) && this.guard?.admits(channel) !== false
  }

  /** live -> catching up. It is complete up to `position`. */
  #demote(position: Cursor): CatchUp {
    this.#selector.leave(this)
    this.#catchUp = CatchUp.lag(this.#host, this, this.#selector, position)
    return this.#catchUp
  }

  // -- CatchingSubscription --

  async decide(channels: readonly string[]): Promise<void> {
    // The hook has its own time limit.
    this.#opening?.pause()
    await this.guard!.decide(channels)
    if (this.#opening?.hasHead === false) this.#opening.expectPage()
  }

  sendHead(): boolean {
    return this.#opening === undefined || this.#open(() => this.#opening!.sendHead())
  }

  write(next: FollowedPage): WrittenPage | undefined {
    const opening = this.#opening
    const { frames, bytes, events, gaps } = pageFrames(next, this.#beginning(next))
    if (opening === undefined) for (const frame of frames) this.stream.write(frame)
    else this.#open(() => opening.write(frames))
    if (this.#isClosed()) return undefined
    this.#begin(next)
    this.#host.delivered(events)
    return { bytes, report: () => this.#report(opening, next, gaps) }
  }

  frame(next: FollowedPage, due: Due, taken: Taken): FramedSnapshots {
    const opening = this.#opening
    const gaps = gapBeside(next, due, this.snapshots!, this.#names, taken)
    const blocks = [...snapshotFrames(next, this.#beginning(next), due, taken, gaps)]
    const report = () => {
      // Not before: a client that leaves in the middle of the blocks has not begun.
      this.#begin(next)
      this.#report(opening, next, gaps)
    }
    return { blocks, report }
  }

  goLive(): void {
    this.#catchUp?.stop()
    this.#catchUp = undefined
    this.#told = this.#host.tail.top
    this.#selector.enter(this)
  }

  park(): void {
    this.#host.park(this, this.#catchUp!.position!)
  }

  readFailed(error: unknown, forMs: number): void {
    const { maxLagMs } = this.#host.options
    this.#host.failed(error)
    if (this.#opening === undefined && maxLagMs > 0 && forMs > maxLagMs) this.stream.close('error')
  }

  fail(error: unknown, detail: string): void {
    if (this.#isClosed()) return
    this.#host.failed(error)
    if (this.#hasHead()) this.stream.close('error')
    else this.#refuse(new SseError('ERR_SSE_OVERLOADED', detail))
  }

  /** idle -> open, unless there is no stream to write to. False if the subscription has ended instead. */
  #open(write: () => boolean): boolean {
    try {
      if (!write()) this.#leave('client')
    } catch (error) {
      // The request was answered in another way.
      this.#refuse(error)
    }
    this.#highWaterMark = Math.max(this.#host.options.highWaterMarkBytes, this.stream.highWaterMark)
    return !this.#isClosed()
  }

  #beginning(next: FollowedPage): Beginning {
    const { form, stream } = this
    const open = this.#opening && { stream, resumed: this.#opening.isResumed(next) }
    return { form, channels: this.#names, open }
  }

  /** The first block is written. */
  #begin(next: FollowedPage): void {
    if (this.#opening === undefined) return
    this.#opening.pause()
    this.resumed = this.#opening.isResumed(next)
    this.#opening = undefined
    this.#selector.count(this, 1)
  }

  #report(opening: Opening | undefined, next: FollowedPage, gaps: readonly Gap[]): void {
    if (opening !== undefined) {
      this.#host.opened(this, next.status !== 'ok' ? next.status : this.resumed ? 'resumed' : 'new')
      opening.end()
    }
    for (const gap of gaps) this.told(gap)
  }

  #hasHead(): boolean {
    return this.#opening === undefined || this.#opening.hasHead
  }

  // -- changes of its channels --

  async caughtUp(): Promise<void> {
    while (this.#catchUp !== undefined && !this.#catchUp.isParked) await this.#catchUp.caughtUp()
  }

  replaceChannels(names: readonly string[], selector: ChannelSelector): void {
    // In one synchronous step: the new selector is read from the current position on.
    const old = this.#selector
    const catchUp = this.#catchUp ?? this.#demote(this.#host.tail.top)
    old.count(this, -1)
    this.#names = sharedNames(selector, names)
    this.#selector = selector
    selector.count(this, 1)
    catchUp.select(selector)
    this.#host.broker.unsubscribe(old)
    this.#host.directory.release(old)
  }

  // -- SubscriberOwner --

  get maxLagMs(): number {
    return this.#host.options.maxLagMs
  }

  tick(): void {
    this.#permission?.check()
  }

  heartbeat(): Frame | undefined {
    if (this.#catchUp !== undefined || this.#isClosed()) return undefined
    const told = this.#told
    this.#told = this.#host.tail.top
    return told !== undefined && isSame(told, this.#told) ? undefined : this.#host.positionFrame()
  }

  farewell(reason: CloseReason): Frame | undefined {
    return this.#hasHead() ? this.#host.farewell(reason) : undefined
  }

  closed(reason: CloseReason): void {
    this.#leave(reason)
  }
}
