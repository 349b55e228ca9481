import type { Clock } from '../clock.ts'
import { SseError } from '../errors.ts'
import { optionsObject } from '../option.ts'
import { type Cursor, newEpoch } from '../protocol/cursor.ts'
import { serverClockOption } from '../server-clock.ts'
import type {
  Broker,
  BrokerListener,
  EphemeralReceipt,
  Group,
  NewEvent,
  Outcome,
  Page,
  PageLimit,
  Receipt,
  Selector,
} from './broker.ts'
import { EphemeralEvent } from './ephemeral-event.ts'
import { History } from './history.ts'
import { idempotencyMismatch, KeyMemory, payloadDigest, scopedKey } from './idempotency.ts'
import type { Merged } from './merge.ts'
import { type HistoryOptions, type ResolvedHistoryOptions, resolveHistoryOptions } from './retention.ts'
import { StoredEvent } from './stored-event.ts'

/** Options of `memoryBroker()`. */
export interface MemoryBrokerOptions {
  /** Limits of the events that are kept for clients that reconnect. */
  history?: HistoryOptions | undefined
  /** Time. Default: the system's. */
  clock?: Clock | undefined
}

/**
 * A log in this process's memory, the default of `new ChannelHub()`. It ends with the process: a client that reconnects
 * to a new process receives a gap, because the new log cannot know which events it missed. Throws a TypeError that
 * names an invalid option.
 */
export function memoryBroker(options?: MemoryBrokerOptions): Broker {
  const { history, clock } = optionsObject('memoryBroker()', options, ['history', 'clock'])
  return new MemoryBroker(resolveHistoryOptions(history), serverClockOption(clock))
}

class MemoryBroker implements Broker {
  /** Of each broker instance, not of the process: two logs never share a cursor. */
  readonly #epoch = newEpoch()
  readonly isEphemeral: (channel: string) => boolean
  readonly #history: History
  readonly #keys: KeyMemory
  /** The end of the log. */
  #end: Cursor = { epoch: this.#epoch, seq: 0 }
  #listener: BrokerListener | undefined
  #closed = false

  constructor(options: ResolvedHistoryOptions, clock: Clock) {
    this.isEphemeral = options.isEphemeral
    this.#history = new History(options, clock)
    this.#keys = new KeyMemory(clock)
  }

  async start(listener: BrokerListener): Promise<Cursor> {
    this.#assertOpen()
    if (this.#listener !== undefined)
      throw new TypeError('A broker serves one hub: make another broker for another hub.')
    this.#listener = listener
    return this.#end
  }

  async publish(groups: readonly Group[]): Promise<readonly Outcome[]> {
    this.#assertOpen()
    // After the code that runs now: a publish inside a listener must not call the listener again before it has
    // returned.
    await undefined
    const batch: (StoredEvent | EphemeralEvent)[] = []
    const outcomes = groups.map((group) => this.#append(group, batch))
    if (batch.length > 0) this.#listener?.events(batch, this.#end)
    return outcomes
  }

  async subscribe(): Promise<void> {
    this.#assertOpen()
  }

  unsubscribe(): void {}

  async read(after: Cursor | undefined, selector: Selector, limit: PageLimit): Promise<Page> {
    this.#assertOpen()
    const nothing = { from: this.#end, items: [], upto: this.#end, end: true }
    if (after === undefined) return { status: 'ok', ...nothing }
    if (after.epoch !== this.#epoch) return { status: 'unknown-epoch', ...nothing }
    if (after.seq > this.#end.seq) return { status: 'diverged', ...nothing }
    return this.#page(after, this.#history.read(after.seq, this.#end.seq, selector, limit))
  }

  async latest(count: number, selector: Selector, limit: PageLimit): Promise<Page> {
    this.#assertOpen()
    const items = this.#history.latest(count, selector, limit)
    const first = items[0]
    const from = first === undefined ? this.#end : this.#cursor(first.seq - 1)
    return { status: 'ok', from, items, upto: this.#end, end: true }
  }

  async close(): Promise<void> {
    this.#closed = true
    // After earlier publishes.
    await undefined
    this.#history.close()
  }

  /** A group, all or nothing: it is refused before any of its events is appended. */
  #append(group: Group, batch: (StoredEvent | EphemeralEvent)[]): Outcome {
    const digests = group.map((event) => (event.idempotencyKey === undefined ? '' : payloadDigest(event)))
    const own = new Map<string, string>()
    for (const [i, event] of group.entries()) {
      if (event.idempotencyKey === undefined) continue
      const key = scopedKey(event)
      const known = this.#keys.get(key)?.digest ?? own.get(key)
      if (known !== undefined && known !== digests[i]) return idempotencyMismatch(event.channel)
      own.set(key, digests[i]!)
    }
    return group.map((event, i): Receipt | EphemeralReceipt => {
      if (event.ephemeral) {
        batch.push(new EphemeralEvent(event))
        return { id: null, duplicate: false }
      }
      const key = event.idempotencyKey === undefined ? undefined : scopedKey(event)
      const known = key === undefined ? undefined : this.#keys.get(key)
      if (known !== undefined) return { id: known.id, duplicate: true }
      const id = this.#cursor(this.#end.seq + 1)
      this.#end = id
      batch.push(this.#store(event, id.seq))
      if (key !== undefined) this.#keys.add(key, digests[i]!, id)
      return { id, duplicate: false }
    })
  }

  #store(event: NewEvent, seq: number): StoredEvent {
    const stored = new StoredEvent(event, this.#epoch, seq, this.#history.lastOf(event.channel))
    this.#history.append(stored)
    return stored
  }

  #page(from: Cursor, { items, upto, end }: Merged<StoredEvent>): Page {
    return { status: 'ok', from, items, upto: this.#cursor(upto), end }
  }

  #cursor(seq: number): Cursor {
    return { epoch: this.#epoch, seq }
  }

  #assertOpen(): void {
    if (this.#closed) throw new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'The broker is closed.')
  }
}
