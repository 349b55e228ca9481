import { type Clock, clockOption } from '../clock.ts'
import { SseError } from '../errors.ts'
import { optionsObject } from '../option.ts'
import { type Cursor, formatCursor, newEpoch } from '../protocol/cursor.ts'
import { EventFrame } from '../protocol/frame.ts'
import type { Broker, BrokerListener, NewEvent, Page, PageLimit, Receipt, Selector, StoredEvent } from './broker.ts'
import { History } from './history.ts'
import { idempotencyMismatch, KeyMemory, payloadDigest, scopedKey } from './idempotency.ts'
import { type HistoryOptions, resolveHistoryOptions } from './retention.ts'
import { type Excerpt, Tail } from './tail.ts'

/** Options of `memoryBroker()`. */
export interface MemoryBrokerOptions {
  /** How much is kept for those who come back. */
  history?: HistoryOptions | undefined
  /** Time. Default: the system's. */
  clock?: Clock | undefined
}

/**
 * A log in this process's memory, the default of `new ChannelHub()`. It ends with the process: a client that comes back
 * to a new one is told a gap, because nobody can know what it missed. Throws a TypeError that names a wrong option.
 */
export function memoryBroker(options?: MemoryBrokerOptions): Broker {
  const { history, clock } = optionsObject('memoryBroker()', options, ['history', 'clock'])
  return new MemoryBroker(resolveHistoryOptions(history), clockOption(clock))
}

class MemoryBroker implements Broker {
  /** Of each broker instance, not of the process: two logs never share a cursor. */
  readonly #epoch = newEpoch()
  readonly #history: History
  readonly #tail = new Tail()
  readonly #keys: KeyMemory
  #top: Cursor = { epoch: this.#epoch, seq: 0 }
  #listener: BrokerListener | undefined
  #closed = false

  constructor(options: ReturnType<typeof resolveHistoryOptions>, clock: Clock) {
    this.#history = new History(options, clock)
    this.#keys = new KeyMemory(clock)
  }

  async start(listener: BrokerListener): Promise<void> {
    this.#assertOpen()
    if (this.#listener !== undefined) throw new TypeError('A broker serves one hub: make another one for another hub.')
    this.#listener = listener
  }

  top(): Cursor {
    return this.#top
  }

  async publish(groups: readonly (readonly NewEvent[])[]): Promise<readonly (readonly Receipt[] | SseError)[]> {
    this.#assertOpen()
    // Behind whatever runs now: a publish from within the listener must not call it again before it is done.
    await undefined
    const batch: StoredEvent[] = []
    const outcomes = groups.map((group) => this.#append(group, batch))
    if (batch.length > 0) {
      this.#top = this.#cursor(batch.at(-1)!.seq)
      this.#listener?.events(batch, this.#top)
    }
    return outcomes
  }

  async subscribe(): Promise<void> {
    this.#assertOpen()
  }

  unsubscribe(): void {}

  async read(after: Cursor | undefined, selector: Selector, max: PageLimit): Promise<Page> {
    this.#assertOpen()
    const top = this.#top
    const end = { from: top, items: [], upto: top, end: true }
    if (after === undefined) return { status: 'ok', ...end }
    if (after.epoch !== this.#epoch) return { status: 'unknown-epoch', ...end }
    if (after.seq > top.seq) return { status: 'diverged', ...end }
    return this.#page(after, this.#history.read(after.seq, top.seq, selector, max))
  }

  recent(after: Cursor, selector: Selector, max: PageLimit): Page | undefined {
    if (this.#closed || after.epoch !== this.#epoch) return undefined
    const excerpt = this.#tail.read(after.seq, this.#top.seq, selector, max)
    return excerpt && this.#page(after, excerpt)
  }

  async latest(count: number, selector: Selector, max: PageLimit): Promise<Page> {
    this.#assertOpen()
    const items = this.#history.latest(count, selector, max)
    const first = items[0]
    const from = first === undefined ? this.#top : this.#cursor(first.seq - 1)
    return { status: 'ok', from, items, upto: this.#top, end: true }
  }

  async close(): Promise<void> {
    this.#closed = true
    // Behind what was published before.
    await undefined
    this.#history.close()
  }

  /** A group, all or nothing: it is refused before anything of it is appended. */
  #append(group: readonly NewEvent[], batch: StoredEvent[]): readonly Receipt[] | SseError {
    const digests = group.map((event) => (event.idempotencyKey === undefined ? '' : payloadDigest(event)))
    const own = new Map<string, string>()
    for (const [i, event] of group.entries()) {
      if (event.idempotencyKey === undefined) continue
      const key = scopedKey(event)
      const known = this.#keys.get(key)?.digest ?? own.get(key)
      if (known !== undefined && known !== digests[i]) return idempotencyMismatch(event.channel)
      own.set(key, digests[i]!)
    }
    return group.map((event, i): Receipt => {
      const key = event.idempotencyKey === undefined ? undefined : scopedKey(event)
      const known = key === undefined ? undefined : this.#keys.get(key)
      if (known !== undefined) return { id: known.id, duplicate: true }
      const stored = this.#store(event, (batch.at(-1) ?? this.#top).seq + 1)
      batch.push(stored)
      const id = this.#cursor(stored.seq)
      if (key !== undefined) this.#keys.add(key, digests[i]!, id)
      return { id, duplicate: false }
    })
  }

  #store(event: NewEvent, seq: number): StoredEvent {
    const frame = new EventFrame(formatCursor(this.#cursor(seq)), event)
    const prev = this.#history.lastOf(event.channel)
    const { channel, event: type, data, json, conflationKey, idempotencyKey, fields } = event
    // Field by field: a spread takes several times as long, and this is done for every event.
    const stored: StoredEvent = {
      channel,
      event: type,
      data,
      json,
      conflationKey,
      idempotencyKey,
      fields,
      seq,
      prev,
      frame,
    }
    this.#history.append(stored)
    this.#tail.append(stored)
    return stored
  }

  #page(from: Cursor, { items, upto, end }: Excerpt): Page {
    return { status: 'ok', from, items, upto: this.#cursor(upto), end }
  }

  #cursor(seq: number): Cursor {
    return { epoch: this.#epoch, seq }
  }

  #assertOpen(): void {
    if (this.#closed) throw new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'The broker is closed.')
  }
}
