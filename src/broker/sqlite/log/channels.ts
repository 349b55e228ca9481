import type { ResolvedHistoryOptions, Retention } from '../../retention.ts'
import type { Connection } from './driver.ts'

/** What the writer knows of a channel. */
export interface ChannelState {
  readonly id: number
  /** The `seq` of its last event, kept or not; of a new one, up to where everybody may have lost it. */
  last: number
  /** The number of its newest kept event, and where that is. */
  n: number
  tail: number
  /** The newest kept event whose number is a multiple of 16, and so on. */
  tail16: number
  tail256: number
  tail4096: number
  readonly keep: number
}

/** How many channels are held at a time. What was dropped is read again. */
const MAX_HELD = 100_000

/** The channels of a log: names, and the position of the last event of each. The writer's half. */
export class Channels {
  readonly #options: ResolvedHistoryOptions
  readonly #held = new Map<string, ChannelState>()
  readonly #touched = new Set<ChannelState>()
  readonly #statements: ReturnType<typeof prepare>
  /** The last event of any channel that was forgotten. */
  floor = 0
  #count = 0

  constructor(db: Connection, options: ResolvedHistoryOptions) {
    this.#options = options
    this.#statements = prepare(db)
  }

  /** Forgets what is held, which a transaction may have changed in vain. */
  reload(floor: number): void {
    this.#held.clear()
    this.#touched.clear()
    this.floor = floor
    this.#count = this.#statements.count.get()!['count'] as number
  }

  /** Gives every channel the retention that the options say now. Whether any had another one. */
  retain(): boolean {
    let changed = false
    for (const row of this.#statements.all.all()) {
      const { keep, age } = columnsOf(this.#options.retentionOf(row['name'] as string))
      if (keep === row['keep'] && age === row['age']) continue
      this.#statements.retain.run(keep, age, row['id']!)
      changed = true
    }
    return changed
  }

  /** The channel that the event `seq` is about to be appended to. */
  touch(name: string, seq: number): ChannelState {
    const channel = this.#held.get(name) ?? this.#load(name, seq)
    this.#touched.add(channel)
    return channel
  }

  /** Writes what the transaction has changed. */
  flush(at: number): void {
    for (const { id, last, n, tail, tail16, tail256, tail4096 } of this.#touched) {
      this.#statements.update.run(last, at, n, tail, tail16, tail256, tail4096, id)
    }
    this.#touched.clear()
    if (this.#held.size > MAX_HELD) this.#held.clear()
  }

  /**
   * Forgets channels with the oldest last event while there are too many, at most so many. Gives the number of rows that
   * nobody finds any more, and whether there are still too many.
   */
  forgetExcess(most: number): { rows: number; more: boolean } {
    let rows = 0
    for (let left = most; left > 0 && this.#count > this.#options.maxChannels; left--) {
      const oldest = this.#oldest()!
      rows += Math.min(oldest.n, oldest.keep)
      this.#forget(oldest)
    }
    return { rows, more: this.#count > this.#options.maxChannels }
  }

  /** Forgets channels of which nothing is kept, and nothing has come for long. Whether there are more. */
  forgetQuiet(time: number, most: number): boolean {
    for (let left = most; left > 0; left--) {
      const oldest = this.#oldest()
      if (oldest === undefined || oldest.at >= time - this.#options.rememberMs) return false
      const { keep, age, kept } = oldest
      if (keep > 0 && kept !== null && kept >= time - age) return false
      this.#forget(oldest)
    }
    return true
  }

  #load(name: string, seq: number): ChannelState {
    let channel = this.#statements.find.get(name) as unknown as ChannelState | undefined
    if (channel === undefined) {
      const { keep, age } = columnsOf(this.#options.retentionOf(name))
      channel = { id: seq, last: this.floor, n: 0, tail: 0, tail16: 0, tail256: 0, tail4096: 0, keep }
      // What it holds comes with the flush.
      this.#statements.insert.run(seq, name, keep, age)
      this.#count++
    }
    this.#held.set(name, channel)
    return channel
  }

  #oldest(): Oldest | undefined {
    return this.#statements.oldest.get() as unknown as Oldest | undefined
  }

  /** Its rows can be many: they go little by little, and nobody finds them without it. */
  #forget({ id, name, last }: Oldest): void {
    this.#statements.forget.run(id)
    this.#held.delete(name)
    this.#count--
    this.floor = Math.max(this.floor, last)
  }
}

interface Oldest {
  readonly id: number
  readonly name: string
  readonly last: number
  readonly at: number
  readonly n: number
  readonly keep: number
  readonly age: number
  /** When its newest row came; null when that is gone. */
  readonly kept: number | null
}

/** A retention as columns. What has no limit has one that is never reached. */
function columnsOf({ maxEvents, maxAgeMs }: Retention): { keep: number; age: number } {
  return { keep: maxEvents, age: Math.min(maxAgeMs, Number.MAX_SAFE_INTEGER) }
}

function prepare(db: Connection) {
  return {
    count: db.prepare('SELECT count(*) AS count FROM channel'),
    all: db.prepare('SELECT id, name, keep, age FROM channel'),
    retain: db.prepare('UPDATE channel SET keep = ?, age = ? WHERE id = ?'),
    find: db.prepare('SELECT id, last, n, tail, tail16, tail256, tail4096, keep FROM channel WHERE name = ?'),
    insert: db.prepare('INSERT INTO channel VALUES (?, ?, 0, 0, 0, 0, 0, 0, 0, ?, ?)'),
    update: db.prepare(`UPDATE channel SET last = ?, at = ?, n = ?, tail = ?, tail16 = ?, tail256 = ?, tail4096 = ?
      WHERE id = ?`),
    oldest: db.prepare(`SELECT id, name, last, at, n, keep, age,
      (SELECT event.at FROM event WHERE event.seq = channel.tail) AS kept FROM channel ORDER BY last LIMIT 1`),
    forget: db.prepare('DELETE FROM channel WHERE id = ?'),
  }
}
