import assert from 'node:assert/strict'
import {
  type Broker,
  type HandedOver,
  isLoss,
  type Loss,
  logged,
  type NewEvent,
  type Outcome,
  type Page,
  type PageLimit,
  type Receipt,
  type Selector,
} from '../../broker/broker.ts'
import type { StoredEvent } from '../../broker/stored-event.ts'
import { covers, isPattern } from '../../channel-name.ts'
import type { Clock } from '../../clock.ts'
import { isSseError } from '../../errors.ts'
import type { Cursor } from '../../protocol/cursor.ts'
import { encodeFields } from '../../protocol/encode.ts'
import { encodedLength } from '../../protocol/frame.ts'

/** The retention of a broker under test, with the fields of the option `history` of the brokers here. */
export interface BrokerContractHistory {
  maxEvents?: number | undefined
  maxAgeMs?: number | undefined
  maxBytes?: number | undefined
  maxChannels?: number | undefined
  channels?: Record<string, BrokerContractEntry> | undefined
}

/** The fields of an entry of `history.channels`. */
export interface BrokerContractEntry {
  maxEvents?: number | undefined
  maxAgeMs?: number | undefined
  maxBytes?: number | undefined
  maxChannels?: number | undefined
  ephemeral?: boolean | undefined
}

/** The options of a broker under test; undefined = its defaults. */
export interface BrokerContractOptions {
  history?: BrokerContractHistory | undefined
  clock?: Clock | undefined
}

export type MakeBroker = (options: BrokerContractOptions) => Broker | Promise<Broker>

/** Makes and starts a broker for one test. */
export type Open = (options?: BrokerContractOptions) => Promise<Rig>

export type ContractIt = (promise: string, test: (open: Open) => Promise<void>) => void

const PATIENCE_MS = 5_000

/** More than any test publishes. */
export const ALL: PageLimit = { events: 100_000, bytes: 1_000_000_000 }

/** Runs a test. Closes its brokers in any case, and checks that they called their listeners correctly. */
export async function withBrokers(makeBroker: MakeBroker, test: (open: Open) => Promise<void>): Promise<void> {
  const rigs: Rig[] = []
  try {
    await test(async (options = {}) => {
      const rig = new Rig(await makeBroker(options))
      rigs.push(rig)
      await rig.start()
      return rig
    })
    for (const rig of rigs) rig.check()
  } finally {
    for (const { broker } of rigs) await broker.close()
  }
}

/** A broker under test, and everything that it handed over. */
export class Rig {
  readonly broker: Broker
  /** The events that were handed over, in their order. */
  readonly handed: StoredEvent[] = []
  /** The data of every event that was handed over, ephemeral ones included, in order. */
  readonly live: string[] = []
  /** The number of calls of the listener. */
  calls = 0
  /** Called inside a call of the listener. */
  onEvents: ((batch: readonly StoredEvent[]) => void) | undefined
  /** The position that `start` or the last call of the listener named. */
  #top: Cursor | undefined
  #inside = false
  /** Mistakes of the broker in calls of the listener. Thrown there, an error would end up in the broker. */
  readonly #faults: string[] = []
  readonly #waiting = new Set<() => void>()
  /** The names of the published events, for readable messages. */
  readonly #names = new Map<number, string>()

  constructor(broker: Broker) {
    this.broker = broker
  }

  async start(): Promise<void> {
    const end = await this.broker.start({
      events: (batch, top) => this.#call(() => this.#take(batch, top)),
      suspect: () => this.#call(() => this.#faults.push('suspect() was called, though nothing broke')),
    })
    if (this.calls > 0) this.#faults.push('the listener was called before start() had resolved')
    this.#top = end
  }

  /** The position that the broker has handed over. */
  get top(): Cursor {
    assert.ok(this.#top, 'start() resolves with the end of the log')
    return this.#top
  }

  /** Fails if the broker called the listener in a wrong way. */
  check(): void {
    assert.deepEqual(this.#faults, [])
  }

  /** Publishes one group. Resolves with its receipts; a refusal fails the test. */
  async append(...events: readonly (string | NewEvent)[]): Promise<readonly Receipt[]> {
    const [outcome] = await this.publish(events)
    if (isSseError(outcome)) throw outcome
    return outcome as readonly Receipt[]
  }

  /** Publishes groups in one call. */
  async publish(...groups: readonly (readonly (string | NewEvent)[])[]): Promise<readonly Outcome[]> {
    const events = groups.map((group) => group.map((given) => (typeof given === 'string' ? event(given) : given)))
    const outcomes = await this.broker.publish(events)
    assert.equal(outcomes.length, groups.length, 'one outcome for each group')
    for (const [i, outcome] of outcomes.entries()) {
      if (isSseError(outcome)) continue
      assert.equal(outcome.length, events[i]!.length, 'one receipt for each event of a group')
      for (const [j, { id, duplicate }] of outcome.entries())
        if (id !== null && !duplicate) this.#names.set(id.seq, events[i]![j]!.data)
    }
    return outcomes
  }

  /** Resolves when everything up to `position` has been handed over. */
  async handedUpTo({ seq }: Cursor): Promise<void> {
    await this.settled(() => this.top.seq >= seq)
  }

  /** Resolves when the condition holds, which is checked after each call of the listener. */
  async settled(condition: () => boolean): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(look)
        reject(new assert.AssertionError({ message: `was not handed over within ${PATIENCE_MS} ms` }))
      }, PATIENCE_MS)
      const look = (): void => {
        if (!condition()) return
        clearTimeout(timer)
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
    this.check()
  }

  /** Publishes one group and waits until it has been handed over. */
  async deliver(...events: readonly (string | NewEvent)[]): Promise<readonly Receipt[]> {
    const receipts = await this.append(...events)
    await this.handedUpTo(receipts.at(-1)!.id)
    return receipts
  }

  /** The end of the log. */
  async end(): Promise<Cursor> {
    const { upto } = await this.broker.read(undefined, selector('nothing'), ALL)
    return upto
  }

  /** Every page from `after` to the end of the log, as one. */
  async read(after: Cursor, of: Selector, max: PageLimit = ALL): Promise<Page> {
    return paged(after, (from) => this.broker.read(from, of, max))
  }

  /** The items after `after` by name: each event, and each loss as `lost <channels> to <event>`. */
  async after(after: Cursor, ...names: readonly string[]): Promise<readonly string[]> {
    return this.brief((await this.read(after, selector(...names))).items)
  }

  brief(items: readonly (StoredEvent | Loss)[]): readonly string[] {
    return items.map((item) =>
      'channels' in item
        ? `lost ${[...item.channels].sort().join(' ')} to ${this.#names.get(item.seq) ?? item.seq}`
        : item.data,
    )
  }

  #call(fn: () => void): void {
    this.calls++
    if (this.#inside) this.#faults.push('a call of the listener was nested in another')
    this.#inside = true
    fn()
    this.#inside = false
    for (const look of [...this.#waiting]) look()
  }

  #take(given: readonly HandedOver[], top: Cursor): void {
    const previous = this.#top?.seq ?? 0
    for (const item of given) if (!isLoss(item)) this.live.push(item.data)
    const batch = logged(given)
    const order = [previous, ...batch.map(({ seq }) => seq)]
    if (this.#top !== undefined && top.epoch !== this.#top.epoch) this.#faults.push('the epoch changed')
    if (order.some((seq, i) => i > 0 && seq <= order[i - 1]!)) {
      this.#faults.push(`events were not in the order of the log, or not after the previous top: ${order}`)
    }
    if (order.at(-1)! > top.seq || top.seq < previous)
      this.#faults.push('the top was behind the events that were handed over')
    this.#top = top
    const events = batch.filter((item): item is StoredEvent => !isLoss(item))
    if (events.length < batch.length) this.#faults.push('a loss was handed over, though nothing broke')
    this.handed.push(...events)
    this.onEvents?.(events)
  }
}

/** An event for the channel at the beginning of `name`: `a1` is one for `a`, with `a1` as its data. */
export function event(name: string, given: Partial<Omit<NewEvent, 'fields' | 'bytes'>> = {}): NewEvent {
  const none = { event: undefined, json: false, conflationKey: undefined, idempotencyKey: undefined }
  const made = { channel: name.replace(/\d+$/, ''), data: name, ...none, ...given }
  const fields = encodeFields(made.event as Parameters<typeof encodeFields>[0], made.data)
  return { ...made, fields, bytes: encodedLength(fields) }
}

/** An event of `bytes` bytes or slightly more. */
export function largeEvent(name: string, bytes: number): NewEvent {
  return event(name, { data: name.padEnd(bytes, '.') })
}

export function selector(...names: readonly string[]): Selector {
  return {
    channels: names.filter((name) => !isPattern(name)),
    patterns: names.filter(isPattern),
    matches: (channel) => names.some((name) => covers(name, channel)),
  }
}

/** Reads pages from the first to the end. Each must continue where the previous one stopped. */
async function paged(after: Cursor, next: (from: Cursor) => Page | Promise<Page>): Promise<Page> {
  const items: (StoredEvent | Loss)[] = []
  for (let from = after; ; ) {
    const page = await next(from)
    assert.equal(page.status, 'ok')
    assert.deepEqual(page.from, from, 'a page begins at the requested position')
    const order = [from, ...page.items, page.upto].map(({ seq }) => seq)
    for (const [i, { seq }] of page.items.entries()) {
      assert.ok(seq > order[i]!, `items ascend by seq, without a repeated seq: ${order}`)
    }
    assert.ok(page.upto.seq >= order.at(-2)!, `a page reaches as far as its items: ${order}`)
    items.push(...page.items)
    if (page.end) return { status: 'ok', from: after, items, upto: page.upto, end: true }
    assert.ok(page.upto.seq > from.seq, 'a page that is not the last advances')
    from = page.upto
  }
}

/** A page without the start of its epoch, which is up to the broker. */
export function withoutStart({ epochStart: _, ...page }: Page): Omit<Page, 'epochStart'> {
  return page
}
