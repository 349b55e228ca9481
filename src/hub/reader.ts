import { type EphemeralEvent, type HandedOver, isEphemeral, isLoss, type Loss } from '../broker/broker.ts'
import type { StoredEvent } from '../broker/stored-event.ts'
import { type Cursor, formatCursor, isAhead } from '../protocol/cursor.ts'
import type { ChannelSelector, Wake } from './channel.ts'
import { type DueSnapshots, dueSnapshots, gapBeside } from './due-snapshots.ts'
import type { HubEnvironment } from './environment.ts'
import { type FollowedPage, Follower, type Start } from './follower.ts'
import type { Gap } from './notice.ts'
import { gapOf } from './replay.ts'

/** An event as `events()` yields it. */
export interface ChannelEvent<Data = unknown, Channel extends string = string> {
  readonly channel: Channel
  /** The event type; undefined if it has none. */
  readonly event: string | undefined
  /** Of an ephemeral channel, whose events have no ID: the position that `events()` has reached. */
  readonly id: string
  /** The value that was published. */
  readonly data: Data
}

/** A loss as `events()` yields it; `gap` distinguishes it from an event. */
export interface ChannelGap extends Gap {
  readonly gap: true
}

/** The state of a channel as `events()` yields it; `snapshot` tells it from an event. It replaces all earlier state. */
export interface ChannelSnapshot<Data = unknown, Channel extends string = string> {
  readonly snapshot: true
  readonly channel: Channel
  readonly event?: undefined
  /** With a pattern as `channel`: its channels that have state. All others of the pattern have none. */
  readonly channels?: readonly string[] | undefined
  /** Null if the state was deleted. */
  readonly data: Data
  readonly id: string
}

type Item = ChannelEvent | ChannelGap | ChannelSnapshot

/** A caller in this process that may wait at the end of the log. */
export interface Waiting {
  /** The position of the hub is uncertain: it was complete up to `previous`. */
  suspect(previous: Cursor): void
  end(): void
}

/** The part of a hub that its readers use. */
export interface ReaderHost extends HubEnvironment {
  readonly readers: Set<Waiting>
}

export interface ReaderInit extends Start {
  /** See SubscribeOptions. */
  readonly snapshot: boolean | undefined
  readonly names: readonly string[]
  readonly signal: AbortSignal | undefined
}

/**
 * A subscriber in this process. It pulls: events that were not requested stay in the log, so it needs no queue. A
 * reader that falls behind continues from history or receives a gap, like every subscriber.
 */
export class Reader implements AsyncIterableIterator<Item> {
  readonly #host: ReaderHost
  readonly #init: ReaderInit
  readonly #selector: ChannelSelector
  /** Its position is that of the last item in `#items`. */
  readonly #follower: Follower
  /** Present where channels have snapshots. */
  readonly #snapshots: DueSnapshots | undefined
  #items: Item[] = []
  #ended = false
  /** The broker has the selector. */
  readonly #subscribed: Promise<void>
  /** Also, the first page has arrived: a reader without a position starts at the end of the log at its creation. */
  readonly #joined: Promise<void>
  #wake: Wake | undefined
  /** Calls of `next` are answered one after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(host: ReaderHost, init: ReaderInit) {
    this.#host = host
    this.#init = init
    this.#selector = host.directory.acquire(init.names)
    this.#follower = Follower.start(host, this.#selector, init)
    this.#snapshots = dueSnapshots(host.snapshots, this.#selector, init)
    host.readers.add(this)
    // At once, not with the first `next`: the reader receives events from now on.
    this.#subscribed = host.ready.then(() => host.broker.subscribe(this.#selector))
    this.#joined = this.#subscribed.then(() => this.#read())
    this.#joined.catch(() => {})
    if (init.signal?.aborted) this.end()
    else init.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<Item>> {
    const result = this.#turn.then(() => this.#next())
    this.#turn = result.catch(() => {})
    return result
  }

  async return(): Promise<IteratorResult<Item>> {
    this.end()
    return { done: true, value: undefined }
  }

  /** Ends the reader, for its consumer, the signal or the hub. Idempotent. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#items = []
    this.#init.signal?.removeEventListener('abort', this.#onAbort)
    this.#host.readers.delete(this)
    this.#wakeUp(undefined)
    const release = () => this.#host.directory.release(this.#selector)
    this.#subscribed
      .then(
        () => this.#host.broker.unsubscribe(this.#selector),
        () => {},
      )
      .then(release)
  }

  /** Its position is no longer the hub's, but `previous`. */
  suspect(previous: Cursor): void {
    this.#wakeUp(previous)
  }

  readonly #onAbort = () => this.end()

  #wakeUp(previous: Cursor | undefined): void {
    const wake = this.#wake
    if (wake === undefined) return
    this.#selector.waiting.delete(wake)
    wake(previous)
  }

  async #next(): Promise<IteratorResult<Item>> {
    try {
      if (!this.#ended) await this.#joined
      while (!this.#ended) {
        const item = this.#items.shift()
        if (item !== undefined) return { done: false, value: item }
        await this.#more()
      }
    } catch (error) {
      // A loop does not call return() on an iterator that has thrown.
      this.end()
      throw error
    }
    return { done: true, value: undefined }
  }

  async #more(): Promise<void> {
    if (this.#follower.isAtEnd) return this.#wait()
    const next = this.#follower.recent()
    if (next === undefined) await this.#read()
    else await this.#serve(next)
  }

  /** Waits until there is an event, or the position of the hub is uncertain. */
  async #wait(): Promise<void> {
    const previous = await new Promise<Cursor | undefined>((resolve) => {
      this.#wake = (previous, hits) => {
        resolve(hits !== undefined && this.#hear(hits) ? undefined : previous)
      }
      this.#selector.waiting.add(this.#wake)
    })
    this.#wake = undefined
    // The reader was complete up to that position, however old it is. It never goes back if its own read was ahead of
    // the hub.
    if (previous !== undefined && !isAhead(this.#follower.position!, previous)) this.#follower.moveTo(previous)
  }

  /**
   * Takes its part of a batch with ephemeral events, which no read has. Returns false if the rest of the batch cannot be
   * taken at once: the reader is not at the end then.
   */
  #hear(hits: readonly HandedOver[]): boolean {
    const { isAtEnd } = this.#follower
    const next = isAtEnd ? undefined : this.#follower.recent()
    const trimmed = next && (this.#snapshots?.trim(next) ?? next)
    if (trimmed === undefined && !isAtEnd) return false
    if (trimmed !== undefined && (!trimmed.page.end || this.#snapshots?.before(trimmed) !== undefined)) return false
    const kept = trimmed?.page.items ?? []
    let taken = 0
    let position = formatCursor(this.#follower.position!)
    for (const hit of hits) {
      if (isEphemeral(hit)) this.#items.push(eventOf(hit, position))
      else
        while (kept[taken] !== undefined && kept[taken]!.seq <= hit.seq) position = this.#push(kept[taken++]!, trimmed!)
    }
    for (const item of kept.slice(taken)) this.#push(item, trimmed!)
    if (trimmed !== undefined) this.#advance(trimmed)
    return true
  }

  async #read(): Promise<void> {
    const next = await this.#follower.read(() => !this.#ended)
    if (next !== undefined) await this.#serve(next)
  }

  /** The items of the page, or first what its channels need to be whole. */
  async #serve(next: FollowedPage): Promise<void> {
    const snapshots = this.#snapshots
    if (snapshots === undefined) return this.#take(next)
    const trimmed = snapshots.trim(next)
    const due = snapshots.before(trimmed)
    if (due === undefined) return this.#take(trimmed)
    const taken = await snapshots.take(due, async (channels) => channels)
    if (this.#ended) return
    if (taken.isStale) return this.#follower.dropPage()
    snapshots.done(due, taken)
    if (taken.snapshots.length + taken.listings.length === 0) return this.#take(trimmed)
    const id = formatCursor(due.at)
    const gaps = gapBeside(trimmed, due, snapshots, this.#init.names, taken)
    this.#items.push(...gaps.map((gap) => ({ gap: true as const, ...gap })))
    for (const { pattern, channels } of taken.listings)
      this.#items.push({ snapshot: true, channel: pattern, channels, data: null, id })
    for (const { channel, data } of taken.snapshots) {
      this.#items.push({ snapshot: true, channel, data: JSON.parse(data), id })
    }
    this.#follower.restart(due.at)
    // The events of a rewind follow the snapshots.
    if (trimmed.isRewind)
      this.#take({ ...snapshots.trim({ ...trimmed, after: due.at, status: 'ok', isRewind: false }) })
  }

  #take(next: FollowedPage): void {
    const { page, status, from } = next
    if (status !== 'ok') {
      const to = formatCursor(page.from)
      const channels = this.#init.names
      this.#items.push({ gap: true, reason: status, channels, from: status === 'bad-cursor' ? null : from, to })
    }
    for (const item of page.items) this.#push(item, next)
    this.#advance(next)
  }

  /** Returns the position after the item. */
  #push(item: StoredEvent | Loss, { page, from }: FollowedPage): string {
    const id = formatCursor({ epoch: page.upto.epoch, seq: item.seq })
    this.#items.push(isLoss(item) ? { gap: true, ...gapOf(item, page, from) } : eventOf(item, id))
    return id
  }

  #advance(next: FollowedPage): void {
    this.#follower.advance(next)
    this.#snapshots?.advance(next)
  }
}

/** `id`: the ID of the event; for an ephemeral one the position, which it does not move. */
function eventOf({ channel, event, data, json }: StoredEvent | EphemeralEvent, id: string): ChannelEvent {
  return { channel, event, id, data: json ? JSON.parse(data) : data }
}
