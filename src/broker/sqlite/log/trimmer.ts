import type { ResolvedHistoryOptions } from '../../retention.ts'
import type { Channels } from './channels.ts'
import type { Connection } from './driver.ts'
import type { Entries, Entry } from './entries.ts'

/** The number of rows that one transaction reads or deletes at most, so that no commit waits long for it. */
const MAX_ROWS = 2_000
/** The same while the log is more than a tenth over its bytes: a few large events may replace many small ones. */
const MAX_ROWS_IN_NEED = 20_000
/** Channels that one transaction forgets at most. */
const MAX_CHANNELS = 1_000
/** Expired rows are deleted in bulk: from this number on, or from this part of all rows. */
const MANY_ROWS = 1_000
const MANY = 0.1

/** The rows of events in the file. */
export interface Contents {
  readonly rows: number
  readonly bytes: number
  readonly expiredRows: number
}

/**
 * Deletes expired rows: those that retention no longer keeps. Readers apply the same limits and skip expired rows,
 * deleted or not. But the size of the log includes all its rows, and beyond `maxBytes` the oldest are deleted at once.
 *
 * Rows are deleted in passes from the beginning of the log, a part with each commit. So deleted rows are neighbours,
 * and their pages are free at once. By channel, every commit would write to places all over the file.
 */
export class Trimmer {
  readonly #options: ResolvedHistoryOptions
  readonly #channels: Channels
  readonly #entries: Entries
  readonly #statements: ReturnType<typeof prepare>
  readonly #youngestAge: number
  #rows = 0
  #bytes = 0
  /** An upper bound: some of them were deleted when the log was over its bytes. */
  #expiredRows = 0
  /** The pass in progress: for all expired rows, or only for old ones, which are at the beginning of the log. */
  #pass: 'none' | 'expired' | 'old' = 'none'
  /** The `seq` that the pass has reached. */
  #at = 0
  /** Rows that the pass has deleted. */
  #deletedByPass = 0
  /** Rows that expired since the pass began: it may have missed them. */
  #expiredSince = 0
  /** Grows while passes find fewer expired rows than were counted, so that passes become rarer. */
  #patience = 1

  constructor(db: Connection, options: ResolvedHistoryOptions, channels: Channels, entries: Entries) {
    this.#options = options
    this.#channels = channels
    this.#entries = entries
    this.#statements = prepare(db)
    this.#youngestAge = Math.min(...options.retentions.map(({ maxAgeMs }) => maxAgeMs))
  }

  get contents(): Contents {
    return { rows: this.#rows, bytes: this.#bytes, expiredRows: this.#expiredRows }
  }

  reload({ rows, bytes, expiredRows }: Contents): void {
    this.#rows = rows
    this.#bytes = bytes
    this.#expiredRows = expiredRows
    this.#pass = 'none'
  }

  /** A row was added. `expiresOne`: the oldest kept row of its channel expired for it. */
  added(bytes: number, expiresOne: boolean): void {
    this.#rows++
    this.#bytes += bytes
    if (expiresOne) this.expired(1)
  }

  /** `rows` more rows expired. */
  expired(rows: number): void {
    this.#expiredRows += rows
    this.#expiredSince += rows
  }

  /** Retention options changed: any row may be expired. */
  retentionChanged(): void {
    this.#expiredRows = this.#rows
  }

  /** After an append of `events`. Returns whether more rows must be deleted than one transaction may delete. */
  trim(events: number, time: number): boolean {
    const { rows, more } = this.#channels.forgetExcess(MAX_CHANNELS)
    this.expired(rows)
    const crowded = this.#trimBytes()
    if (this.#pass === 'none' && this.#hasManyExpired) this.#begin('expired')
    // Faster than events arrive.
    if (this.#pass !== 'none') this.#continue(Math.min(MAX_ROWS, 100 + 2 * events), time)
    return more || crowded
  }

  /** Deletes some expired rows, independent of publishing. Returns whether there may be more. */
  sweep(time: number): boolean {
    if (this.#pass === 'none') this.#begin(this.#hasManyExpired ? 'expired' : 'old')
    this.#continue(MAX_ROWS, time)
    if (this.#pass !== 'none') return true
    const { rows, more } = this.#channels.forgetExcess(MAX_CHANNELS)
    this.expired(rows)
    const quiet = this.#channels.forgetQuiet(time, MAX_CHANNELS)
    return this.#trimBytes() || more || quiet || this.#hasManyExpired
  }

  get #hasManyExpired(): boolean {
    return this.#expiredRows > this.#patience * Math.max(MANY_ROWS, MANY * this.#rows)
  }

  #begin(pass: 'expired' | 'old'): void {
    this.#pass = pass
    this.#at = 0
    this.#deletedByPass = 0
    this.#expiredSince = 0
  }

  /** Continues the pass for `rows` rows. */
  #continue(rows: number, time: number): void {
    const end = (this.#statements.end.get(this.#at, rows - 1) ?? this.#statements.last.get()) as Place | undefined
    if (end === undefined) return this.#end(true)
    const deleted = this.#statements.deleteExpired.all(this.#at, end.seq, time) as unknown as Deletion[]
    for (const row of deleted) this.#deleted(row)
    this.#deletedByPass += deleted.length
    // Rows past their age were not counted.
    if (this.#pass === 'expired') this.#expiredRows = Math.max(0, this.#expiredRows - deleted.length)
    this.#at = end.seq
    const isLast = this.#statements.end.get(this.#at, 0) === undefined
    if (this.#pass === 'expired' ? isLast || this.#expiredRows === 0 : isLast || end.at >= time - this.#youngestAge) {
      this.#end(isLast)
    }
  }

  /** After a pass over the whole log, the only expired rows are those since its start. */
  #end(isWhole: boolean): void {
    const absent = this.#expiredRows - this.#expiredSince
    if (this.#pass === 'expired') this.#patience = this.#deletedByPass < absent ? Math.min(4, this.#patience * 2) : 1
    if (isWhole) this.#expiredRows = Math.min(this.#expiredRows, this.#expiredSince)
    this.#pass = 'none'
  }

  /** Too many bytes in an entry or in the log: deletes its oldest rows. Returns whether there are still too many. */
  #trimBytes(): boolean {
    for (const entry of this.#entries.overBytes) this.#trimEntry(entry)
    const { maxBytes } = this.#options
    let left = this.#bytes > maxBytes * (1 + MANY) ? MAX_ROWS_IN_NEED : MAX_ROWS
    for (let chunk = 50; this.#bytes > maxBytes && left > 0; chunk = Math.min(chunk * 4, left)) {
      const oldest = this.#statements.oldest.all(chunk) as unknown as (Deletion & { seq: number })[]
      let count = 0
      while (this.#bytes > maxBytes && count < oldest.length) this.#deleted(oldest[count++]!)
      this.#statements.dropOldest.run(oldest[count - 1]!.seq)
      left -= count
    }
    return this.#bytes > maxBytes || this.#entries.overBytes.length > 0
  }

  #trimEntry(entry: Entry): void {
    const { maxBytes } = entry.retention
    let left = entry.bytes > maxBytes * (1 + MANY) ? MAX_ROWS_IN_NEED : MAX_ROWS
    for (let chunk = 50; entry.bytes > maxBytes && left > 0; chunk = Math.min(chunk * 4, left)) {
      const oldest = this.#statements.oldestOf.all(entry.id, chunk) as unknown as (Deletion & { seq: number })[]
      let count = 0
      while (entry.bytes > maxBytes && count < oldest.length) this.#deleted(oldest[count++]!)
      this.#statements.dropOldestOf.run(entry.id, oldest[count - 1]!.seq)
      left -= count
    }
  }

  #deleted({ bytes, quota }: Deletion): void {
    this.#rows--
    this.#bytes -= bytes
    this.#entries.count(quota, -bytes)
  }
}

/** A row that is deleted. */
interface Deletion {
  readonly bytes: number
  /** Its entry, if that limits its bytes. */
  readonly quota: number | null
}

interface Place {
  readonly seq: number
  readonly at: number
}

function prepare(db: Connection) {
  return {
    end: db.prepare('SELECT seq, at FROM event WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?'),
    last: db.prepare('SELECT seq, at FROM event ORDER BY seq DESC LIMIT 1'),
    deleteExpired: db.prepare(`DELETE FROM event WHERE seq > ? AND seq <= ? AND NOT EXISTS (
        SELECT 1 FROM channel WHERE channel.id = event.channel
          AND event.n > channel.n - channel.keep AND event.at >= ? - channel.age
      ) RETURNING bytes, quota`),
    oldest: db.prepare('SELECT seq, bytes, quota FROM event ORDER BY seq LIMIT ?'),
    dropOldest: db.prepare('DELETE FROM event WHERE seq <= ?'),
    oldestOf: db.prepare('SELECT seq, bytes, quota FROM event WHERE quota = ? ORDER BY seq LIMIT ?'),
    dropOldestOf: db.prepare('DELETE FROM event WHERE quota = ? AND seq <= ?'),
  }
}
