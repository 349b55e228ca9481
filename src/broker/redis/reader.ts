import type { Cursor } from '../../protocol/cursor.ts'
import type { Page, PageLimit, Selector } from '../broker.ts'
import { mergePage } from '../merge.ts'
import type { StoredEvent } from '../stored-event.ts'
import { decodeEntry } from './entry.ts'
import type { RedisBrokerSettings } from './options.ts'
import { latest, names, order, read } from './scripts.ts'
import { type ChannelReply, ChannelSeries } from './series.ts'
import type { Session } from './session.ts'

/** Up to this number, names are looked up one by one; for more, the changed ones are searched first. */
const FEW_NAMES = 256
/** The number of names in one slice of the index. */
const SLICE = 1_000
/** The number of batches that one call reads from the order, at first and at most. */
const MIN_BATCHES = 128
const MAX_BATCHES = 1_024
/** After this number of calls without a result, the page ends empty. */
const MAX_SEARCH = 16

type Place = readonly [status: Page['status'], epoch: string, end: number, start: number]
type ReadReply = readonly [...Place, floor: number, from: number, upto: number, ...channels: ChannelReply[]]
type OrderReply = readonly [
  ...Place,
  floor: number,
  from: number,
  covered: number,
  begin: number,
  ...batches: (number | string)[],
]
type NamesReply = readonly [...Place, floor: number, ...pairs: string[]]
type LatestReply = readonly [...Place, ...pairs: string[]]

/** Names whose last events are read, and the end of the log, if it is known already. */
interface Slice {
  readonly names: readonly string[]
  readonly end?: Cursor
  readonly start?: number
}

/** The events of a selector after a position. */
interface Found {
  readonly status: Page['status']
  readonly epoch: string
  readonly end: number
  /** Its end when its epoch began. */
  readonly start: number
  readonly floor: number
  readonly from: number
  /** It is complete up to here. */
  readonly upto: number
  readonly channels: readonly ChannelReply[]
}

/** The life of the log has changed between two calls. */
class Moved extends Error {}

/** Reads pages of the log through one session. */
export class LogReader {
  readonly #session: Session
  readonly #settings: RedisBrokerSettings

  constructor(session: Session, settings: RedisBrokerSettings) {
    this.#session = session
    this.#settings = settings
  }

  async end(): Promise<Cursor> {
    const { upto } = await this.empty()
    return upto
  }

  /** The empty page at the end of the log. */
  async empty(): Promise<Page> {
    const [, epoch, seq, start] = await this.#session.read<OrderReply>(order, ['', '0', '1'])
    const end = { epoch, seq }
    return { status: 'ok', from: end, items: [], upto: end, end: true, epochStart: start }
  }

  /**
   * The page after a position. With `alongOrder`, changed names are found only by the order of the log; undefined if
   * the order does not reach back that far.
   */
  async read(after: Cursor, selector: Selector, limit: PageLimit): Promise<Page>
  async read(after: Cursor, selector: Selector, limit: PageLimit, alongOrder: true): Promise<Page | undefined>
  async read(after: Cursor, selector: Selector, limit: PageLimit, alongOrder = false): Promise<Page | undefined> {
    for (;;) {
      try {
        const isSmall = selector.patterns.length === 0 && selector.channels.length <= FEW_NAMES
        const found =
          isSmall && (!alongOrder || selector.channels.length === 0)
            ? await this.#ask(after, selector.channels, limit, '')
            : await this.#search(after, selector, limit, alongOrder)
        return found && this.#page(found, selector, limit)
      } catch (error) {
        if (!(error instanceof Moved)) throw error
      }
    }
  }

  async latest(count: number, selector: Selector, limit: PageLimit): Promise<Page> {
    const most = Math.max(1, limit.events)
    let newest: StoredEvent[] = []
    let end: Cursor | undefined
    let epochStart = 0
    let floor = -1
    for await (const slice of selector.patterns.length === 0 ? given(selector) : this.#newestFirst(selector)) {
      end ??= slice.end
      epochStart = slice.start ?? epochStart
      if (slice.names.length === 0) continue
      const args = [
        this.#session.time,
        `${Math.min(count, most)}`,
        `${most}`,
        `${Math.max(1, limit.bytes)}`,
        `${floor}`,
      ]
      const [, epoch, last, start, ...pairs] = await this.#session.read<LatestReply>(latest, [
        ...args,
        end === undefined ? '' : `${end.seq}`,
        ...slice.names.flatMap((name) => [name, this.#maxAge(name)]),
      ])
      if (end !== undefined && end.epoch !== epoch) return this.latest(count, selector, limit)
      end ??= { epoch, seq: last }
      epochStart = start
      for (let i = 0; i < pairs.length; i += 2) newest.push(decodeEntry(pairs[i + 1]!, 0, epoch, pairs[i]!))
      newest = newest.sort((a, b) => b.seq - a.seq).slice(0, most)
      if (newest.length === most) floor = newest.at(-1)!.seq
    }
    if (end === undefined) return this.empty()
    let bytes = 0
    const taken = newest.findIndex((event, i) => {
      bytes += event.bytes
      return i > 0 && bytes > limit.bytes
    })
    const items = (taken === -1 ? newest : newest.slice(0, taken)).reverse()
    const from = { epoch: end.epoch, seq: items.length === 0 ? end.seq : items[0]!.seq - 1 }
    return { status: 'ok', from, items, upto: end, end: true, epochStart }
  }

  #page(found: Found, selector: Selector, limit: PageLimit): Page {
    const { status, epoch, end, start: epochStart, floor, from, upto } = found
    const at = (seq: number) => ({ epoch, seq })
    if (status === 'unknown-epoch') return { status, from: at(end), items: [], upto: at(end), end: true, epochStart }
    const replies = [...found.channels]
    if (from < floor) for (const pattern of selector.patterns) replies.push([pattern, '', 1, ''])
    const series = replies
      .map((reply) => new ChannelSeries(reply, epoch, from, upto, floor))
      .filter((one) => one.begin())
    const merged = mergePage(series, from, upto, limit)
    return {
      status,
      from: at(from),
      items: merged.items,
      upto: at(merged.upto),
      end: merged.end && upto === end,
      epochStart,
    }
  }

  /** The events of the named channels. */
  async #ask(after: Cursor, channels: readonly string[], limit: PageLimit, bound: string): Promise<Found> {
    const [status, epoch, end, start, floor, from, upto, ...replies] = await this.#session.read<ReadReply>(read, [
      this.#session.time,
      after.epoch,
      `${after.seq}`,
      // The merged result is cut at the first channel with more events: with twice the number most pages are full.
      `${2 * Math.max(1, limit.events)}`,
      `${2 * Math.max(1, limit.bytes)}`,
      bound,
      ...channels.flatMap((name) => [name, this.#maxAge(name)]),
    ])
    return { status, epoch, end, start, floor, from, upto, channels: replies }
  }

  /** Finds the changed channels, and then their events. */
  async #search(after: Cursor, selector: Selector, limit: PageLimit, alongOrder: boolean): Promise<Found | undefined> {
    const found = new Set<string>()
    let batches = MIN_BATCHES
    let events = 0
    let upto = -1
    let at = after
    for (let calls = 0; ; calls++) {
      const [status, epoch, end, start, floor, from, covered, , ...pairs] = await this.#session.read<OrderReply>(
        order,
        [at.epoch, `${at.seq}`, `${batches}`],
      )
      if (calls === 0) {
        const nothing = { status, epoch, end, start, floor, from, upto: end, channels: [] }
        if (status === 'unknown-epoch' || from === end) return nothing
        if (covered === 0) return alongOrder ? undefined : this.#searchIndex(after, selector, limit)
        upto = from
      } else if (epoch !== at.epoch || covered === 0) throw new Moved()
      for (let i = 0; i < pairs.length; i += 2) {
        const [last, names] = [pairs[i] as number, (pairs[i + 1] as string).split(' ')]
        const matching = names.filter((name) => found.has(name) || selector.matches(name))
        const wanted = matching.filter((name) => !found.has(name))
        const isEnough = found.size > 0 && (events >= 2 * limit.events || found.size + wanted.length > FEW_NAMES)
        if (isEnough) return this.#bounded(after, epoch, selector, [...found], limit, upto)
        events += ((last - upto) * matching.length) / names.length
        for (const name of wanted) found.add(name)
        upto = last
      }
      if (upto >= end || (found.size === 0 && calls === MAX_SEARCH)) {
        return this.#bounded(after, epoch, selector, [...found], limit, upto)
      }
      batches = Math.min(2 * batches, MAX_BATCHES)
      at = { epoch, seq: upto }
    }
  }

  /** The same for a position before the start of the order: all names that have changed since. */
  async #searchIndex(after: Cursor, selector: Selector, limit: PageLimit): Promise<Found> {
    // Up to the current end of the log: a name with a new event moves forward in the index, and is still found.
    const first = await this.#ask(after, [], limit, '')
    const found: string[] = []
    for (let at = first.from; ; ) {
      const slice = await this.#slice(at, 'up')
      found.push(...slice.names.filter((name) => selector.matches(name)))
      if (slice.names.length < SLICE) break
      at = slice.at
    }
    return this.#bounded(after, first.epoch, selector, found, limit, first.end)
  }

  /** The events of channels up to a bound. Many channels take several calls, each bounded by the one before it. */
  async #bounded(
    after: Cursor,
    epoch: string,
    selector: Selector,
    channels: readonly string[],
    limit: PageLimit,
    bound: number,
  ): Promise<Found> {
    const named = new Set(selector.channels)
    const replies: ChannelReply[] = []
    let upto = bound
    let found: Found | undefined
    for (const some of channels.length === 0 ? [[]] : chunks(channels, FEW_NAMES)) {
      const one = await this.#ask(after, some, limit, `${upto}`)
      if (one.epoch !== epoch) throw new Moved()
      // If a channel was found and is forgotten, the pattern that found it reports the loss.
      replies.push(...one.channels.filter(([name, last]) => last !== '' || named.has(name)))
      upto = Math.min(upto, one.upto)
      found = one
    }
    // An unknown name has lost the forgotten events. Names that were found are already in the answers.
    if (found!.from < found!.floor) {
      const asked = new Set(channels)
      for (const some of chunks(
        selector.channels.filter((name) => !asked.has(name)),
        SLICE,
      )) {
        const scores = (await this.#session.link.call(['ZMSCORE', `${this.#settings.prefix}i`, ...some])) as (
          | unknown
          | null
        )[]
        for (const [i, name] of some.entries()) if (scores[i] === null) replies.push([name, '', 1, ''])
      }
    }
    return { ...found!, upto, channels: replies }
  }

  /**
   * All names of the patterns, and the names beside them, with the newest events first. The end of the log is that of
   * the first slice: a name that appears later has no events before it.
   */
  async *#newestFirst(selector: Selector): AsyncGenerator<Slice> {
    const found = new Set<string>()
    const matching = (name: string) => !found.has(name) && selector.matches(name)
    let end: Cursor | undefined
    for (let at: number | string = '+inf'; ; ) {
      const slice = await this.#slice(at, 'down')
      end ??= { epoch: slice.epoch, seq: slice.end }
      const names = slice.names.filter(matching)
      for (const name of names) found.add(name)
      yield { names, end, start: slice.start }
      if (slice.names.length < SLICE && at === '+inf') return
      if (slice.names.length < SLICE) break
      at = slice.at
    }
    // A name with a new event has moved from a later slice to a place before the first one.
    for (let at = end.seq; ; ) {
      const slice = await this.#slice(at, 'up')
      yield { names: slice.names.filter(matching), end }
      if (slice.names.length < SLICE) return
      at = slice.at
    }
  }

  async #slice(at: number | string, direction: 'up' | 'down') {
    const [, epoch, end, start, , ...pairs] = await this.#session.read<NamesReply>(names, [`${at}`, direction])
    return { epoch, end, start, names: pairs.filter((_, i) => i % 2 === 0), at: Number(pairs.at(-1)) }
  }

  #maxAge(name: string): string {
    const { maxAgeMs } = this.#settings.history.retentionOf(name)
    return Number.isFinite(maxAgeMs) ? `${maxAgeMs}` : ''
  }
}

/** The names of a selector without patterns. */
function* given({ channels }: Selector): Generator<Slice> {
  for (const names of chunks(channels, SLICE)) yield { names }
}

function* chunks<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let i = 0; i < items.length; i += size) yield items.slice(i, i + size)
}
