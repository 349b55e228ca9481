import type { ResolvedHistoryOptions } from '../retention.ts'
import type { Channels } from './channels.ts'
import type { Connection } from './driver.ts'

/** Rows that one transaction looks at or deletes at most, so that no commit waits long for it. */
const MAX_ROWS = 2_000
/** The same while the log is more than a tenth over its bytes: many small events make way for a few large ones. */
const MAX_ROWS_IN_NEED = 20_000
/** Channels that one transaction forgets at most. */
const MAX_CHANNELS = 1_000
/** Hidden rows are deleted in bulk: when there are so many, or this part of all. */
const MANY_ROWS = 1_000
const MANY = 0.1

/** What is in the file, in rows of events. */
export interface Contents {
  readonly rows: number
  readonly bytes: number
  readonly hidden: number
}

/**
 * Deletes what retention does not keep. Readers go by the same limits and see none of it, whenever it is deleted; but the
 * bytes of the log are those of its rows, and past `maxBytes` the oldest go at once, hidden or not.
 *
 * Rows are deleted in passes from the beginning of the log on, a part with each commit. So what is deleted lies together,
 * and its pages are free at once; by channel, every commit would write all over the file.
 */
export class Trimmer {
  readonly #options: ResolvedHistoryOptions
  readonly #channels: Channels
  readonly #statements: ReturnType<typeof prepare>
  readonly #youngestAge: number
  #rows = 0
  #bytes = 0
  /** Rows that nobody sees any more. An estimate from above: some went when the log was over its bytes. */
  #hidden = 0
  /** What the pass that is under way is for; it looks at everything, or only at what is old. */
  #pass: 'none' | 'hidden' | 'old' = 'none'
  /** How far the pass has come. */
  #at = 0
  /** Rows that it has deleted. */
  #found = 0
  /** Rows that came to be hidden since it began: it may have missed them. */
  #missed = 0
  /** Passes for hidden rows that find few of them become rarer. */
  #patience = 1

  constructor(db: Connection, options: ResolvedHistoryOptions, channels: Channels) {
    this.#options = options
    this.#channels = channels
    this.#statements = prepare(db)
    this.#youngestAge = Math.min(...options.retentions.map(({ maxAgeMs }) => maxAgeMs))
  }

  get contents(): Contents {
    return { rows: this.#rows, bytes: this.#bytes, hidden: this.#hidden }
  }

  reload({ rows, bytes, hidden }: Contents): void {
    this.#rows = rows
    this.#bytes = bytes
    this.#hidden = hidden
    this.#pass = 'none'
  }

  /** A row was added. `hides`: another one of its channel is hidden for it. */
  added(bytes: number, hides: boolean): void {
    this.#rows++
    this.#bytes += bytes
    if (hides) this.hid(1)
  }

  /** Retention shows so many rows less. */
  hid(rows: number): void {
    this.#hidden += rows
    this.#missed += rows
  }

  /** Retention is another one: anything may be hidden. */
  changed(): void {
    this.#hidden = this.#rows
  }

  /** After an append of `events`. Whether more has to go than one transaction may delete. */
  trim(events: number, time: number): boolean {
    const { rows, more } = this.#channels.forgetExcess(MAX_CHANNELS)
    this.hid(rows)
    const crowded = this.#trimBytes()
    if (this.#pass === 'none' && this.#isMuchHidden) this.#begin('hidden')
    // Faster than events come.
    if (this.#pass !== 'none') this.#look(Math.min(MAX_ROWS, 100 + 2 * events), time)
    return more || crowded
  }

  /** Deletes some of what is hidden, whether or not anybody publishes. Whether there may be more. */
  sweep(time: number): boolean {
    if (this.#pass === 'none') this.#begin(this.#isMuchHidden ? 'hidden' : 'old')
    this.#look(MAX_ROWS, time)
    if (this.#pass !== 'none') return true
    const { rows, more } = this.#channels.forgetExcess(MAX_CHANNELS)
    this.hid(rows)
    const quiet = this.#channels.forgetQuiet(time, MAX_CHANNELS)
    return this.#trimBytes() || more || quiet || this.#isMuchHidden
  }

  get #isMuchHidden(): boolean {
    return this.#hidden > this.#patience * Math.max(MANY_ROWS, MANY * this.#rows)
  }

  #begin(pass: 'hidden' | 'old'): void {
    this.#pass = pass
    this.#at = 0
    this.#found = 0
    this.#missed = 0
  }

  /** Goes on with the pass for so many rows. */
  #look(rows: number, time: number): void {
    const end = (this.#statements.end.get(this.#at, rows - 1) ?? this.#statements.last.get()) as Place | undefined
    if (end === undefined) return this.#end(true)
    const deleted = this.#statements.hidden.all(this.#at, end.seq, time) as unknown as { bytes: number }[]
    for (const { bytes } of deleted) this.#deleted(bytes)
    this.#found += deleted.length
    // What is old was not counted.
    if (this.#pass === 'hidden') this.#hidden = Math.max(0, this.#hidden - deleted.length)
    this.#at = end.seq
    const isLast = this.#statements.end.get(this.#at, 0) === undefined
    if (this.#pass === 'hidden' ? isLast || this.#hidden === 0 : isLast || end.at >= time - this.#youngestAge) {
      this.#end(isLast)
    }
  }

  /** Of a pass over everything, what it did not find is not there. */
  #end(isWhole: boolean): void {
    const absent = this.#hidden - this.#missed
    if (this.#pass === 'hidden') this.#patience = this.#found < absent ? Math.min(4, this.#patience * 2) : 1
    if (isWhole) this.#hidden = Math.min(this.#hidden, this.#missed)
    this.#pass = 'none'
  }

  /** Too many bytes: the oldest of the log go. Whether there still are. */
  #trimBytes(): boolean {
    const { maxBytes } = this.#options
    let left = this.#bytes > maxBytes * (1 + MANY) ? MAX_ROWS_IN_NEED : MAX_ROWS
    for (let chunk = 50; this.#bytes > maxBytes && left > 0; chunk = Math.min(chunk * 4, left)) {
      const oldest = this.#statements.oldest.all(chunk) as unknown as { seq: number; bytes: number }[]
      let count = 0
      while (this.#bytes > maxBytes && count < oldest.length) this.#deleted(oldest[count++]!.bytes)
      this.#statements.dropOldest.run(oldest[count - 1]!.seq)
      left -= count
    }
    return this.#bytes > maxBytes
  }

  #deleted(bytes: number): void {
    this.#rows--
    this.#bytes -= bytes
  }
}

interface Place {
  readonly seq: number
  readonly at: number
}

function prepare(db: Connection) {
  return {
    end: db.prepare('SELECT seq, at FROM event WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?'),
    last: db.prepare('SELECT seq, at FROM event ORDER BY seq DESC LIMIT 1'),
    hidden: db.prepare(`DELETE FROM event WHERE seq > ? AND seq <= ? AND NOT EXISTS (
        SELECT 1 FROM channel WHERE channel.id = event.channel
          AND event.n > channel.n - channel.keep AND event.at >= ? - channel.age
      ) RETURNING bytes`),
    oldest: db.prepare('SELECT seq, bytes FROM event ORDER BY seq LIMIT ?'),
    dropOldest: db.prepare('DELETE FROM event WHERE seq <= ?'),
  }
}
