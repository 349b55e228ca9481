import { covers } from '../../../channel-name.ts'
import type { Cursor } from '../../../protocol/cursor.ts'
import type { Loss, PageLimit } from '../../broker.ts'
import { Lost, mergePage, type Series } from '../../merge.ts'
import type { ResolvedHistoryOptions } from '../../retention.ts'
import { type Connection, fromColumn } from './driver.ts'
import type { EventRow, Names, PageRows } from './page-rows.ts'
import { ChannelEvents, type ChannelRow, ChannelSeries, Deleted, type EventPlace, finder } from './series.ts'

/** The literal prefix of all channels that a pattern matches. */
const LITERAL = /^(?:[^*>.]+\.)*/

/** A page of many channels that was cut. The next page continues with the same series. */
interface Unfinished {
  readonly key: string
  readonly upto: number
  /** The end of the log when the series were found. */
  readonly end: number
  readonly series: Series<EventPlace>[]
  /** The time of the log then. */
  readonly time: number
}

/** With fewer channels, a new search for each page takes less time than remembering the series. */
const MANY_CHANNELS = 64
/** The time in ms that the series of a page can be used for the next one. */
const UNFINISHED_MS = 10_000
/** The number of readers of many channels whose next page is prepared. */
const MAX_UNFINISHED = 8

/**
 * Reads pages of a log. Each page is one snapshot, and shows the events that retention keeps at the time of the
 * request, even if the writer has not deleted the others yet.
 */
export class LogReader {
  readonly #db: Connection
  readonly #history: ResolvedHistoryOptions
  readonly #statements: ReturnType<typeof prepare>
  readonly #find: (seq: number) => EventPlace | undefined
  /** The newest last. */
  #unfinished: Unfinished[] = []

  constructor(db: Connection, history: ResolvedHistoryOptions) {
    this.#db = db
    this.#history = history
    this.#statements = prepare(db)
    this.#find = finder(db)
  }

  /** The page after a position; `epoch` is the current life of the log. */
  read(epoch: string, after: Cursor | undefined, selector: Names, max: PageLimit, time: number): PageRows {
    return this.#snapshot((end) => {
      const empty = { from: end, items: [], upto: end, end: true }
      if (after === undefined) return { status: 'ok', ...empty }
      const last = after.epoch === epoch ? end : this.#endOf(after.epoch, end)
      if (last === undefined) return { status: 'unknown-epoch', ...empty }
      // Events after the end of its epoch replaced the lost ones.
      const from = Math.min(after.seq, last)
      const status = after.seq > last ? 'diverged' : 'ok'
      const next = this.#continued(from, selector, max, time)
      if (next !== undefined) return { status, from, ...next, end: next.end && next.upto === end }
      const series = this.#seriesAfter(from, selector, max, time)
      return { status, from, ...this.#page(series, from, end, selector, max, time) }
    })
  }

  /** The page that continues after the cut in a page of many channels; undefined if its series cannot be used. */
  #continued(from: number, selector: Names, max: PageLimit, time: number): Merged | undefined {
    const key = keyOf(selector)
    const at = this.#unfinished.findIndex((one) => one.key === key && one.upto === from)
    if (at === -1) return undefined
    const [{ series, end, time: since }] = this.#unfinished.splice(at, 1) as [Unfinished]
    if (time - since > UNFINISHED_MS) return undefined
    try {
      return this.#page(series, from, end, selector, max, since)
    } catch (error) {
      if (error instanceof Deleted) return undefined
      throw error
    }
  }

  #page(
    series: Series<EventPlace>[],
    from: number,
    end: number,
    selector: Names,
    max: PageLimit,
    time: number,
  ): Merged {
    const { items, upto, end: isEnd } = mergePage(series, from, end, max)
    const page = { items: items.map((item) => this.#whole(item)), upto, end: isEnd }
    if (!isEnd && series.length > MANY_CHANNELS) {
      this.#unfinished.push({ key: keyOf(selector), upto, end, series, time })
      if (this.#unfinished.length > MAX_UNFINISHED) this.#unfinished.shift()
    }
    return page
  }

  /** The last `count` kept events of each channel, the newest of all within `max`. */
  latest(count: number, selector: Names, max: PageLimit, time: number): PageRows {
    return this.#snapshot((end) => {
      const newest = new Newest(max.events)
      for (const channel of this.#matching(selector, -1).sort((a, b) => b.last - a.last)) {
        if (channel.last < newest.floor) break
        newest.add(this.#eventsOf(channel, time).newest(newest.floor, Math.min(count, Math.max(1, max.events))))
      }
      let bytes = 0
      const taken = newest.all().filter((row, i) => {
        bytes += row.bytes
        return i === 0 || bytes <= max.bytes
      })
      const items = taken.reverse().map((row) => this.#whole(row))
      return { status: 'ok', from: (items[0]?.seq ?? end + 1) - 1, items, upto: end, end: true }
    })
  }

  close(): void {
    this.#db.close()
  }

  #snapshot(fn: (end: number) => PageRows): PageRows {
    this.#db.exec('BEGIN')
    try {
      return fn(this.#statements.end.get()!['seq'] as number)
    } finally {
      this.#db.exec('ROLLBACK')
    }
  }

  /** The end of an epoch, if the log remembers it. */
  #endOf(epoch: string, end: number): number | undefined {
    const row = this.#statements.epoch.get(epoch) as { last: number | null } | undefined
    return row === undefined ? undefined : (row.last ?? end)
  }

  #seriesAfter(after: number, selector: Names, max: PageLimit, time: number): Series<EventPlace>[] {
    const known = this.#matching(selector, after)
    const chunk = Math.max(4, Math.ceil((max.events + 1) / Math.max(1, known.length)))
    const series = known.map((channel) => {
      return new ChannelSeries(channel, this.#eventsOf(channel, time), after, Math.min(chunk, max.events + 1))
    })
    return [...series, ...this.#lossesAfter(after, selector)]
  }

  /** The losses of channels that are not remembered. */
  #lossesAfter(after: number, selector: Names): Lost[] {
    const floors = this.#statements.floors.all(after) as unknown as { name: string; floor: number }[]
    if (floors.length === 0) return []
    const isUnknown = (channel: string) => this.#statements.channel.get(channel) === undefined
    return [...selector.patterns, ...selector.channels.filter(isUnknown)].flatMap((asked) => {
      const own = floors.filter(({ name }) => this.#history.mayHave(asked, name === '' ? undefined : name))
      return own.length === 0 ? [] : [new Lost(asked, Math.max(...own.map(({ floor }) => floor)))]
    })
  }

  #eventsOf(channel: ChannelRow, time: number): ChannelEvents {
    return new ChannelEvents(this.#find, channel, this.#history.retentionOf(channel.name), time)
  }

  /** The channels of a selector with an event after `after`. */
  #matching({ channels, patterns }: Names, after: number): ChannelRow[] {
    const found = new Map<number, ChannelRow>()
    for (const name of channels) {
      const row = this.#statements.channel.get(name) as ChannelRow | undefined
      if (row !== undefined && row.last > after) found.set(row.id, row)
    }
    for (const pattern of patterns) {
      for (const row of this.#candidates(pattern, after)) if (covers(pattern, row.name)) found.set(row.id, row)
    }
    return [...found.values()]
  }

  /** Channels that may match a pattern: by their last event, because few have changed since most positions. */
  #candidates(pattern: string, after: number): ChannelRow[] {
    const prefix = LITERAL.exec(pattern)![0]
    // `/` follows the dot, and `~` every character of a name.
    const end = prefix === '' ? '~' : `${prefix.slice(0, -1)}/`
    return this.#statements.changed.all(after, prefix, end) as unknown as ChannelRow[]
  }

  /** An item with all columns of its row. */
  #whole(item: { seq: number; prev: number } | Loss): EventRow | Loss {
    if ('channels' in item) return item
    const row = this.#statements.event.get(item.seq)
    if (row === undefined) throw new Deleted()
    return {
      seq: item.seq,
      prev: item.prev,
      channel: row['name'] as string,
      json: row['json'] === 1,
      type: row['type'] as string | null,
      key: row['key'] == null ? null : fromColumn(row['key']),
      data: fromColumn(row['data']!),
    }
  }
}

type Merged = Pick<PageRows, 'items' | 'upto' | 'end'>

function keyOf({ channels, patterns }: Names): string {
  return [...channels, ...patterns].join(' ')
}

/** The newest events of several channels, whose last events are in descending order. */
class Newest {
  readonly #most: number
  #rows: EventPlace[] = []
  /** What is not after this is not among them. */
  floor = -1

  constructor(most: number) {
    this.#most = Math.max(1, most)
  }

  add(rows: readonly EventPlace[]): void {
    this.#rows.push(...rows)
    if (this.#rows.length >= 2 * this.#most) this.floor = this.all().at(-1)!.seq
  }

  /** Newest first. */
  all(): EventPlace[] {
    this.#rows = this.#rows.sort((a, b) => b.seq - a.seq).slice(0, this.#most)
    return this.#rows
  }
}

function prepare(db: Connection) {
  const columns = 'id, name, last, n, tail'
  return {
    end: db.prepare('SELECT seq FROM hub'),
    floors: db.prepare('SELECT name, floor FROM entry WHERE floor > ?'),
    epoch: db.prepare('SELECT last FROM epoch WHERE name = ?'),
    channel: db.prepare(`SELECT ${columns} FROM channel WHERE name = ?`),
    changed: db.prepare(`SELECT ${columns} FROM channel WHERE last > ? AND +name >= ? AND +name < ?`),
    event: db.prepare(
      'SELECT name, json, type, key, data FROM event JOIN channel ON channel.id = channel WHERE seq = ?',
    ),
  }
}
