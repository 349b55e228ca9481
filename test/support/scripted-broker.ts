import type {
  Broker,
  BrokerListener,
  Loss,
  NewEvent,
  Page,
  PageLimit,
  Receipt,
  Selector,
} from '../../src/broker/broker.ts'
import { StoredEvent } from '../../src/broker/stored-event.ts'
import type { Cursor } from '../../src/protocol/cursor.ts'
import { encodeFields } from '../../src/protocol/encode.ts'
import { encodedLength } from '../../src/protocol/frame.ts'

interface Entry {
  readonly event: StoredEvent
  /** Still in the log, and not only in the memory of the test. */
  kept: boolean
}

interface PendingRead {
  readonly after: Cursor | undefined
  /** The number of the latest events of each channel, where those are wanted. */
  readonly count?: number
  readonly selector: Selector
  readonly max: PageLimit
  readonly resolve: (page: Page) => void
  readonly reject: (error: unknown) => void
  /** What it saw of the log; undefined before it was served. */
  page: Page | undefined
}

/**
 * A broker on a log far away, in which everything that takes time is a step taken by hand: an append, its hand-over, the
 * confirmation of a subscription, the moment at which a read looks at the log, and the moment its answer arrives. It
 * does no more than the interface promises: events from before a selector was confirmed are never handed over.
 *
 * As plain as possible, with a search of the whole log each time: the hub is compared with it.
 */
export class ScriptedBroker implements Broker {
  epoch = 'AAAAAA'
  /** The ends of the earlier epochs. */
  readonly #ends = new Map<string, number>()
  #epochStart = 0
  readonly log: Entry[] = []
  #seq = 0
  #handed = 0
  #listener: BrokerListener | undefined
  readonly #confirmed = new Map<Selector, number>()
  readonly #subscribing: { selector: Selector; resolve: () => void; reject: (error: unknown) => void }[] = []
  readonly #reads: PendingRead[] = []
  readonly #publishing: { groups: readonly (readonly NewEvent[])[]; resolve: (receipts: Receipt[][]) => void }[] = []
  /** Which events will be handed over: decided when they are appended. */
  readonly #due = new Set<StoredEvent>()
  closed = false
  /** Smaller pages than the hub asks for, so that a short log has several. */
  pageEvents = Number.POSITIVE_INFINITY

  async start(listener: BrokerListener): Promise<Cursor> {
    this.#listener = listener
    return this.top
  }

  /** The position that was handed over. */
  get top(): Cursor {
    return this.#at(this.#handed)
  }

  get end(): number {
    return this.#seq
  }

  publish(groups: readonly (readonly NewEvent[])[]): Promise<Receipt[][]> {
    return new Promise((resolve) => this.#publishing.push({ groups, resolve }))
  }

  subscribe(selector: Selector): Promise<void> {
    return new Promise((resolve, reject) => this.#subscribing.push({ selector, resolve, reject }))
  }

  unsubscribe(selector: Selector): void {
    const count = (this.#confirmed.get(selector) ?? 0) - 1
    if (count < 0) throw new Error('unsubscribed more often than subscribed')
    if (count === 0) this.#confirmed.delete(selector)
    else this.#confirmed.set(selector, count)
  }

  read(after: Cursor | undefined, selector: Selector, max: PageLimit): Promise<Page> {
    return new Promise((resolve, reject) => {
      this.#reads.push({ after, selector, max, resolve, reject, page: undefined })
    })
  }

  latest(count: number, selector: Selector, max: PageLimit): Promise<Page> {
    return new Promise((resolve, reject) => {
      this.#reads.push({ after: undefined, count, selector, max, resolve, reject, page: undefined })
    })
  }

  async close(): Promise<void> {
    this.closed = true
  }

  // -- the steps --

  /** An append by another node. */
  append(channel: string, data = `${channel} ${this.#seq + 1}`): StoredEvent {
    const fields = encodeFields(undefined, data)
    const none = { event: undefined, conflationKey: undefined, idempotencyKey: undefined }
    return this.#append({ channel, data, json: false, fields, bytes: encodedLength(fields), ...none })
  }

  /** Hands over the next `count` events of the log, if a selector matches them. */
  handOver(count = Number.POSITIVE_INFINITY): void {
    const next = this.log.filter(({ event }) => event.seq > this.#handed).slice(0, count)
    if (next.length === 0) return
    const batch = next.map(({ event }) => event).filter((event) => this.#due.has(event))
    this.#handed = next.at(-1)!.event.seq
    this.#listener!.events(batch, this.top)
  }

  /** The link broke: events that were not handed over are never handed over. */
  breakLink(): void {
    this.#handed = this.#seq
    this.#listener!.suspect(this.top)
  }

  /** Another node takes over with an older copy of the log: its last `lost` events never were. */
  failOver(lost: number, epoch: string, by: 'suspect' | 'events' = 'suspect'): void {
    const end = Math.max(this.#epochStart, this.#seq - lost)
    while (this.log.length > 0 && this.log.at(-1)!.event.seq > end) this.log.pop()
    this.#ends.set(this.epoch, end)
    this.epoch = epoch
    this.#epochStart = end
    this.#seq = end
    this.#handed = end
    for (const read of this.#reads) read.page = undefined
    if (by === 'events') this.#listener!.events([], this.top)
    else this.#listener!.suspect(this.top)
  }

  /** The log deletes the oldest kept event of a channel. */
  trim(channel: string): void {
    const oldest = this.log.find(({ event, kept }) => kept && event.channel === channel)
    if (oldest !== undefined) oldest.kept = false
  }

  /** How many of each thing wait for their step. */
  get waiting(): { subscriptions: number; unserved: number; served: number; publishes: number; unhanded: number } {
    return {
      subscriptions: this.#subscribing.length,
      unserved: this.#reads.filter(({ page }) => page === undefined).length,
      served: this.#reads.filter(({ page }) => page !== undefined).length,
      publishes: this.#publishing.length,
      unhanded: this.log.filter(({ event }) => event.seq > this.#handed).length,
    }
  }

  confirm(): void {
    const next = this.#subscribing.shift()
    if (next === undefined) return
    this.#confirmed.set(next.selector, (this.#confirmed.get(next.selector) ?? 0) + 1)
    next.resolve()
  }

  refuseSubscription(error: unknown): void {
    this.#subscribing.shift()?.reject(error)
  }

  /** The oldest read looks at the log. */
  serve(): void {
    const read = this.#reads.find(({ page }) => page === undefined)
    if (read !== undefined) read.page = this.#page(read)
  }

  /** The oldest answer arrives. */
  deliver(): void {
    const at = this.#reads.findIndex(({ page }) => page !== undefined)
    if (at === -1) return
    const [read] = this.#reads.splice(at, 1)
    read!.resolve(read!.page!)
  }

  failRead(error: unknown): void {
    this.#reads.shift()?.reject(error)
  }

  /** The oldest publish is committed. */
  commit(): void {
    const next = this.#publishing.shift()
    if (next === undefined) return
    next.resolve(
      next.groups.map((group) => group.map((event) => ({ id: this.#at(this.#append(event).seq), duplicate: false }))),
    )
  }

  get subscribed(): number {
    return this.#confirmed.size
  }

  #append(event: NewEvent): StoredEvent {
    const seq = ++this.#seq
    const prev = this.log.findLast((entry) => entry.event.channel === event.channel)?.event.seq ?? 0
    const stored = new StoredEvent(event, this.epoch, seq, prev)
    this.log.push({ event: stored, kept: true })
    if ([...this.#confirmed.keys()].some((selector) => selector.matches(event.channel))) this.#due.add(stored)
    return stored
  }

  #page({ after, count, selector, max }: PendingRead): Page {
    const end = this.#at(this.#seq)
    if (count !== undefined) return this.#latest(count, selector)
    if (after === undefined) return { status: 'ok', from: end, items: [], upto: end, end: true }
    const epochStart = this.#epochStart
    const last = after.epoch === this.epoch ? this.#seq : this.#ends.get(after.epoch)
    if (last === undefined) return { status: 'unknown-epoch', from: end, items: [], upto: end, end: true, epochStart }
    const status = after.seq > last ? 'diverged' : 'ok'
    const from = this.#at(Math.min(after.seq, last))
    // Each run of missing events of a channel is one loss, in the place of its last event.
    const items: (StoredEvent | Loss)[] = []
    const mine = this.log.filter(({ event }) => event.seq > from.seq && selector.matches(event.channel))
    for (const { event, kept } of mine) {
      const next = mine.find((other) => other.event.channel === event.channel && other.event.seq > event.seq)
      if (kept) items.push(event)
      else if (next === undefined || next.kept) items.push({ channels: [event.channel], seq: event.seq })
    }
    const page = items.slice(0, Math.min(max.events, this.pageEvents))
    const whole = page.length === items.length
    const upto = whole ? end : this.#at(page.at(-1)!.seq)
    return { status, from, items: page, upto, end: whole, epochStart }
  }

  #latest(count: number, selector: Selector): Page {
    const kept = this.log
      .filter((entry) => entry.kept && selector.matches(entry.event.channel))
      .map(({ event }) => event)
    const items = kept.filter(
      (event, i) => kept.slice(i).filter(({ channel }) => channel === event.channel).length <= count,
    )
    const from = this.#at((items[0]?.seq ?? this.#seq + 1) - 1)
    return { status: 'ok', from, items, upto: this.#at(this.#seq), end: true, epochStart: this.#epochStart }
  }

  #at(seq: number): Cursor {
    return { epoch: this.epoch, seq }
  }
}
