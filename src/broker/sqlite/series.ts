import type { Series } from '../merge.ts'
import type { Connection } from './driver.ts'
import type { Limits } from './trimmer.ts'

/** What a reader knows of a channel. */
export interface ChannelRow {
  readonly id: number
  readonly name: string
  readonly last: number
  readonly n: number
}

/** An event without its text, which is read only for those that come to be on a page. */
export interface EventPlace {
  readonly seq: number
  readonly prev: number
  readonly n: number
  readonly at: number
  readonly bytes: number
}

export type SeriesStatements = ReturnType<typeof prepareSeries>

export function prepareSeries(db: Connection) {
  const columns = 'seq, prev, n, at, bytes'
  return {
    after: db.prepare(`SELECT ${columns} FROM event WHERE channel = ? AND seq > ? ORDER BY seq LIMIT ?`),
    newest: db.prepare(`SELECT ${columns} FROM event WHERE channel = ? AND seq > ? ORDER BY seq DESC LIMIT ?`),
  }
}

/** One channel from a position on: its events, and a loss wherever the one before is not the one that was there. */
export class ChannelSeries implements Series<EventPlace> {
  readonly name: string
  readonly #statements: SeriesStatements
  readonly #channel: ChannelRow
  readonly #chunk: number
  /** Up to here everything has been read or told as lost. */
  #at: number
  #rows: EventPlace[]
  #index = 0
  seq = 0
  event: EventPlace | undefined
  bytes = 0

  /** `after` is before the last event of the channel. Rows are fetched by `chunk`. */
  constructor(statements: SeriesStatements, channel: ChannelRow, limits: Limits, after: number, chunk: number) {
    this.name = channel.name
    this.#statements = statements
    this.#channel = channel
    this.#chunk = chunk
    this.#at = after
    this.#rows = this.#fetch(firstVisible(statements, channel, limits, after))
    this.#look()
  }

  advance(): boolean {
    this.#at = this.seq
    if (this.event !== undefined && ++this.#index === this.#rows.length) {
      this.#rows = this.#rows.length < this.#chunk ? [] : this.#fetch(this.#at)
      this.#index = 0
    }
    return this.#look()
  }

  #look(): boolean {
    const next = this.#rows[this.#index]
    const before = next?.prev ?? this.#channel.last
    this.event = before > this.#at ? undefined : next
    this.bytes = next?.bytes ?? 0
    this.seq = this.event?.seq ?? before
    return this.seq > this.#at
  }

  #fetch(after: number): EventPlace[] {
    return this.#statements.after.all(this.#channel.id, after, this.#chunk) as unknown as EventPlace[]
  }
}

/** What nothing is known of but that it may have lost events: a channel that was forgotten, or a pattern. */
export class LostSeries implements Series<never> {
  readonly name: string
  readonly seq: number
  readonly event = undefined
  readonly bytes = 0

  constructor(name: string, seq: number) {
    this.name = name
    this.seq = seq
  }

  advance(): boolean {
    return false
  }
}

/** A position from which on a channel shows every row. Numbers and times rise along a channel, so this is a search. */
function firstVisible(statements: SeriesStatements, channel: ChannelRow, limits: Limits, after: number): number {
  const rowAfter = (seq: number) => statements.after.get(channel.id, seq, 1) as EventPlace | undefined
  const first = rowAfter(after)
  if (first === undefined || isVisible(first, limits)) return after
  // The row after `hidden` is hidden, or there is a later one that is; the one after `shown` is not.
  let hidden = first.seq
  let shown = channel.last
  while (hidden < shown) {
    const middle = Math.floor((hidden + shown) / 2)
    const row = rowAfter(middle)
    if (row === undefined || isVisible(row, limits)) shown = middle
    else hidden = row.seq
  }
  return shown
}

/** The newest rows that a channel shows after `after`, newest first. */
export function newestVisible(
  statements: SeriesStatements,
  id: number,
  limits: Limits,
  after: number,
  count: number,
): EventPlace[] {
  const rows = statements.newest.all(id, after, count) as unknown as EventPlace[]
  return rows.filter((row) => isVisible(row, limits))
}

function isVisible({ n, at }: EventPlace, limits: Limits): boolean {
  return n > limits.n && at >= limits.at
}
