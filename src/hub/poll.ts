import { isLoss, type Page } from '../broker/broker.ts'
import type { StoredEvent } from '../broker/stored-event.ts'
import { SseError } from '../errors.ts'
import { type Cursor, formatCursor, isAhead } from '../protocol/cursor.ts'
import type { PendingAdmission } from './admissions.ts'
import type { ChannelSelector, Wake } from './channel.ts'
import type { HubEnvironment } from './environment.ts'
import { type FollowedPage, Follower } from './follower.ts'
import { type Authorize, channelsOf, sieve } from './guard.ts'
import type { Gap } from './notice.ts'
import { Permission } from './permission.ts'
import type { Waiting } from './reader.ts'
import { conflate } from './replay.ts'
import type { Subscription } from './subscription.ts'
import { withinTime } from './time-limit.ts'

/** A checked request to read without a stream. */
export interface PollRequest {
  /** Channel names and patterns, each once. */
  readonly names: readonly string[]
  /** The position to read from, as the text of a cursor; `''` = none: the answer has the newest events. */
  readonly after: string
  /** The number of kept events of each channel if there is no usable position. */
  readonly rewind: number
  /** The maximum of events in the answer. */
  readonly limit: number
  /** How long the request is held while there is nothing to answer; 0 = not at all. */
  readonly waitMs: number
  readonly info: unknown
  /** See SubscribeRequest. */
  readonly authorize?: Authorize | undefined
  readonly until?: number | undefined
  readonly address?: string | undefined
  readonly admission: PendingAdmission
  /** Aborted when the client has left. */
  readonly signal: AbortSignal
}

/** The result of a poll: the part of the log that a stream writes in one step. */
export interface PollAnswer {
  /** Everything up to here is in this answer or an earlier one. The next request continues from here. */
  readonly position: string
  /** Whether that was the end of the log. */
  readonly end: boolean
  /** Stands before the events: of these channels, events after the requested position and up to `to` may be missing. */
  readonly gap?: Gap | undefined
  readonly events: readonly StoredEvent[]
  /** The state of channels that lost events: an answer with snapshots has no events. Not filled yet. */
  readonly snapshots?: readonly { readonly channel: string; readonly data: unknown }[] | undefined
}

const MAX_BYTES = 1_048_576
/** How long the broker may take for one page. */
const PAGE_TIME_LIMIT_MS = 5_000

/**
 * One read without a stream. It may be held until there is something to answer. It follows the log as a stream does, so
 * a client can change between both at any position.
 */
export class Poll implements Waiting {
  readonly #environment: HubEnvironment
  readonly #request: PollRequest
  readonly #selector: ChannelSelector
  readonly #follower: Follower
  readonly #permission: Permission
  readonly #id: string
  readonly #since: number
  /** No longer held: the answer is the position alone if there is nothing else. */
  #isDue = false
  #refusal: SseError | undefined
  #wake: Wake | undefined

  constructor(environment: HubEnvironment, request: PollRequest, id: string) {
    const { clock } = environment.options
    this.#environment = environment
    this.#request = request
    this.#id = id
    this.#since = clock.now()
    this.#selector = environment.directory.acquire(request.names)
    const limit = { events: request.limit, bytes: MAX_BYTES }
    this.#follower = Follower.start(environment, this.#selector, request, limit)
    this.#permission = new Permission(clock, request, () => this.end())
  }

  /** The poll as `disconnect()` and the listeners of the hub see it. */
  get subscription(): Subscription {
    const { info, names, after } = this.#request
    const { position } = this.#follower
    return {
      id: this.#id,
      info,
      since: new Date(this.#since),
      channels: names,
      position: position === undefined ? '' : formatCursor(position),
      resumed: after !== '',
      state: this.#wake === undefined ? 'replaying' : 'live',
      add: () => Promise.reject(new TypeError('A read without a stream cannot change its channels.')),
      remove: () => Promise.reject(new TypeError('A read without a stream cannot change its channels.')),
      close: () => this.revoke(),
    }
  }

  /** Resolves with the answer. Rejects with a refusal, or with the error of the broker or a hook. Call it once. */
  async answer(): Promise<PollAnswer> {
    const { broker, ready, directory, options } = this.#environment
    const { waitMs, signal } = this.#request
    const onGone = () => this.end()
    let timer: unknown
    let isSubscribed = false
    let isOver = false
    signal.addEventListener('abort', onGone)
    try {
      await this.#inTime(ready)
      if (waitMs > 0) {
        timer = options.clock.setTimeout(() => this.end(), waitMs)
        await this.#inTime(
          broker.subscribe(this.#selector).then(() => {
            if (isOver) broker.unsubscribe(this.#selector)
            else isSubscribed = true
          }),
        )
      }
      return await this.#read()
    } finally {
      isOver = true
      signal.removeEventListener('abort', onGone)
      options.clock.clearTimeout(timer)
      this.#permission.stop()
      if (isSubscribed) broker.unsubscribe(this.#selector)
      directory.release(this.#selector)
    }
  }

  /** Answers now. */
  end(): void {
    this.#isDue = true
    this.#wakeUp(undefined)
  }

  /** Refuses it: the permission has ended. */
  revoke(): void {
    this.#refusal = revoked()
    this.end()
  }

  /** The position of the hub is uncertain: it was complete up to `previous`. */
  suspect(previous: Cursor): void {
    this.#wakeUp(previous)
  }

  async #read(): Promise<PollAnswer> {
    const { names, after, waitMs, signal } = this.#request
    const isHeld = waitMs > 0
    for (;;) {
      const recent = isHeld ? this.#follower.recent() : undefined
      const next = recent ?? (await this.#inTime(this.#follower.read(() => !signal.aborted)))
      if (next === undefined) throw gone()
      const page = await this.#admitted(next.page)
      if (this.#refusal !== undefined) throw this.#refusal
      const answer = answerOf({ ...next, page }, names)
      if (answer.gap !== undefined || answer.events.length > 0) return answer
      this.#follower.advance(next)
      if (!page.end) continue
      // A request without a position gets one at once, so that nothing is lost if the answer is.
      if (!isHeld || after === '') return answer
      while (this.#follower.isAtEnd && !this.#isDue) await this.#wait()
      if (this.#refusal !== undefined) throw this.#refusal
      if (this.#follower.isAtEnd) return { ...answer, position: formatCursor(this.#follower.position!) }
    }
  }

  /** The page without the channels that a hook denies. */
  async #admitted(page: Page): Promise<Page> {
    const guard = this.#permission.guard(this.#selector)
    if (guard === undefined) return page
    await guard.decide(channelsOf(page).filter((channel) => guard.admits(channel) === undefined))
    return sieve(page, (channel) => guard.admits(channel) === true)
  }

  async #wait(): Promise<void> {
    const previous = await new Promise<Cursor | undefined>((resolve) => {
      this.#wake = resolve
      this.#selector.waiting.add(resolve)
    })
    this.#wake = undefined
    if (previous !== undefined && !isAhead(this.#follower.position!, previous)) this.#follower.moveTo(previous)
  }

  #wakeUp(previous: Cursor | undefined): void {
    const wake = this.#wake
    if (wake === undefined) return
    this.#selector.waiting.delete(wake)
    wake(previous)
  }

  #inTime<T>(promise: Promise<T>): Promise<T> {
    const late = () => new SseError('ERR_SSE_OVERLOADED', `The broker did not answer within ${PAGE_TIME_LIMIT_MS} ms.`)
    return withinTime(this.#environment.options.clock, PAGE_TIME_LIMIT_MS, promise, late)
  }
}

/** The refusal of a read whose permission was revoked. A client that tries again is authorised again. */
export function revoked(): SseError {
  return new SseError('ERR_SSE_OVERLOADED', 'The permission was revoked. Try again later.')
}

function gone(): SseError {
  return new SseError('ERR_SSE_OVERLOADED', 'The client has left.')
}

/** A page as an answer. Its gap stands before all of its events, so the answer ends before a loss that follows one. */
function answerOf({ page, status, from }: FollowedPage, names: readonly string[]): PollAnswer {
  const { epoch } = page.upto
  const items = page.items
  let gap: Gap | undefined
  let first = 0
  let position = page.from
  if (status !== 'ok') {
    gap = { reason: status, channels: names, from: status === 'bad-cursor' ? null : from, to: formatCursor(page.from) }
  } else {
    const channels = new Set<string>()
    for (; first < items.length; first++) {
      const item = items[first]!
      if (!isLoss(item)) break
      for (const channel of item.channels) channels.add(channel)
      position = { epoch, seq: item.seq }
    }
    if (first > 0) gap = { reason: 'trimmed', channels: [...channels], from, to: formatCursor(position) }
  }
  const rest = items.slice(first)
  const at = rest.findIndex((item) => isLoss(item))
  const events = conflate(at === -1 ? rest : rest.slice(0, at)) as readonly StoredEvent[]
  if (at === -1) return { position: formatCursor(page.upto), end: page.end, gap, events }
  if (at > 0) position = { epoch, seq: rest[at - 1]!.seq }
  return { position: formatCursor(position), end: false, gap, events }
}
