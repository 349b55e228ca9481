import { type Broker, isLoss, type Page } from '../broker/broker.ts'
import type { StoredEvent } from '../broker/stored-event.ts'
import { type Cursor, formatCursor, parseCursor } from '../protocol/cursor.ts'
import type { ChannelDirectory, ChannelSelector, Wake } from './channel.ts'
import type { LogTail } from './log-tail.ts'
import type { Gap } from './notice.ts'
import { PAGE, type Reads } from './reads.ts'
import { gapOf } from './replay.ts'

/** An event as `events()` yields it. */
export interface ChannelEvent<Data = unknown, Channel extends string = string> {
  readonly channel: Channel
  /** The event type; undefined when it has none. */
  readonly event: string | undefined
  readonly id: string
  /** The value that was published. */
  readonly data: Data
}

/** A loss as `events()` yields it; `gap` tells it from an event. */
export interface ChannelGap extends Gap {
  readonly gap: true
}

/** What a reader needs of its hub. */
export interface ReaderHost {
  readonly broker: Broker
  readonly tail: LogTail
  readonly directory: ChannelDirectory
  readonly reads: Reads
  readonly ready: Promise<void>
  readonly readers: Set<Reader>
}

export interface ReaderInit {
  readonly names: readonly string[]
  readonly after: string
  readonly rewind: number
  readonly signal: AbortSignal | undefined
}

/**
 * A subscriber in this process. It pulls: what was not asked for stays in the log, so there is no queue to bound, and
 * one that falls behind reads on from history or is told a gap, as everybody is.
 */
export class Reader implements AsyncIterableIterator<ChannelEvent | ChannelGap> {
  readonly #host: ReaderHost
  readonly #init: ReaderInit
  readonly #selector: ChannelSelector
  /** Everything up to here was yielded or is in `#items`; undefined = the end of the log at the first read. */
  #position: Cursor | undefined
  #items: (ChannelEvent | ChannelGap)[] = []
  /** The last read reached the end of the log, so memory can serve what came since. See Subscription. */
  #reachedEnd = false
  #ended = false
  /** The broker has the selector. */
  readonly #subscribed: Promise<void>
  /** And the first page is here. */
  readonly #joined: Promise<void>
  #wake: Wake | undefined
  /** `next` calls are answered one after the other. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(host: ReaderHost, init: ReaderInit) {
    this.#host = host
    this.#init = init
    this.#selector = host.directory.acquire(init.names)
    this.#position = parseCursor(init.after)
    host.readers.add(this)
    // At once, not with the first `next`: what is published from now on is heard.
    this.#subscribed = host.ready.then(() => host.broker.subscribe(this.#selector))
    this.#joined = this.#subscribed.then(() => this.#first())
    this.#joined.catch(() => {})
    if (init.signal?.aborted) this.end()
    else init.signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  next(): Promise<IteratorResult<ChannelEvent | ChannelGap>> {
    const result = this.#turn.then(() => this.#next())
    this.#turn = result.catch(() => {})
    return result
  }

  async return(): Promise<IteratorResult<ChannelEvent | ChannelGap>> {
    this.end()
    return { done: true, value: undefined }
  }

  /** Ends it: by its consumer, the signal, or the hub. Idempotent. */
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

  /** Its position is that of the hub no longer, but `previous`. */
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

  async #first(): Promise<void> {
    const { after, rewind } = this.#init
    const wanted = () => !this.#ended
    const bad = after !== '' && this.#position === undefined
    let page: Page | undefined
    let status: Gap['reason'] | 'ok' = 'ok'
    if (this.#position !== undefined || rewind === 0) {
      page = await this.#host.reads.read(this.#position, this.#selector, wanted)
      status = page?.status ?? 'ok'
    }
    if (rewind > 0 && (page === undefined || status === 'unknown-epoch')) {
      page = await this.#host.reads.latest(rewind, this.#selector, wanted)
    }
    if (page === undefined) return
    this.#reachedEnd = page.end
    this.#take(page, bad ? 'bad-cursor' : status, after)
  }

  async #next(): Promise<IteratorResult<ChannelEvent | ChannelGap>> {
    try {
      if (!this.#ended) await this.#joined
      while (!this.#ended) {
        const item = this.#items.shift()
        if (item !== undefined) return { done: false, value: item }
        await this.#more()
      }
    } catch (error) {
      // A loop calls no return() of an iterator that has thrown.
      this.end()
      throw error
    }
    return { done: true, value: undefined }
  }

  async #more(): Promise<void> {
    const { tail, reads } = this.#host
    const at = this.#position!
    const { top } = tail
    if (this.#reachedEnd && at.epoch === top.epoch && at.seq >= top.seq) {
      const previous = await new Promise<Cursor | undefined>((resolve) => {
        this.#wake = resolve
        this.#selector.waiting.add(resolve)
      })
      this.#wake = undefined
      // It was complete up to there, however long that is ago; never back, when its own read was ahead of the hub.
      if (previous !== undefined && (previous.epoch !== at.epoch || previous.seq > at.seq)) this.#position = previous
      return
    }
    let page = this.#reachedEnd ? tail.read(at, this.#selector, PAGE) : undefined
    if (page === undefined) {
      page = await reads.read(at, this.#selector, () => !this.#ended)
      this.#reachedEnd = page?.end === true
    }
    if (page !== undefined) this.#take(page, page.status, formatCursor(at))
  }

  #take(page: Page, status: Gap['reason'] | 'ok', from: string): void {
    if (status !== 'ok') {
      const to = formatCursor(page.from)
      const channels = this.#init.names
      this.#items.push({ gap: true, reason: status, channels, from: status === 'bad-cursor' ? null : from, to })
    }
    for (const item of page.items) {
      this.#items.push(isLoss(item) ? { gap: true, ...gapOf(item, page, from) } : eventOf(item, page.upto.epoch))
    }
    this.#position = page.upto
  }
}

function eventOf({ channel, event, data, json, seq }: StoredEvent, epoch: string): ChannelEvent {
  return { channel, event, id: formatCursor({ epoch, seq }), data: json ? JSON.parse(data) : data }
}
