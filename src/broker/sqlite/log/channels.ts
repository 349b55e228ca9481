import type { ResolvedHistoryOptions, Retention } from '../../retention.ts'
import type { Connection } from './driver.ts'

/** The state of a channel, as the writer keeps it. */
export interface ChannelState {
  readonly id: number
  /**
   * The `seq` of its last event, kept or not. For a new channel, the position up to which any subscriber may have lost
   * its events.
   */
  last: number
  /** The number of its newest kept event, and its place. */
  n: number
  tail: number
  /** The newest kept event whose number is a multiple of 16, and so on. */
  tail16: number
  tail256: number
  tail4096: number
  readonly keep: number
}

/** The number of channels in memory at a time. Dropped ones are read again. */
const MAX_HELD = 100_000

/** The channels of a log: their names, and the position of the last event of each. The writer's half. */
export class Channels {
  readonly #options: ResolvedHistoryOptions
  readonly #held = new Map<string, ChannelState>()
  readonly #touched = new Set<ChannelState>()
  readonly #statements: ReturnType<typeof prepare>
  /** The last event of any forgotten channel. */
  floor = 0
  #count = 0

  constructor(db: Connection, options: ResolvedHistoryOptions) {
    this.#options = options
    this.#statements = prepare(db)
  }

  /** Forgets the state in memory, which a failed transaction may have changed. */
  reload(floor: number): void {
    this.#held.clear()
    this.#touched.clear()
    this.floor = floor
    this.#count = this.#statements.count.get()!['count'] as number
  }

  /** Gives every channel the retention of the current options. Returns whether any retention has changed. */
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

  /** The channel to which the event `seq` is about to be appended. */
  touch(name: string, seq: number): ChannelState {
    const channel = this.#held.get(name) ?? this.#load(name, seq)
    this.#touched.add(channel)
    return channel
  }

  /** Writes the changes of the transaction. */
  flush(at: number): void {
    for (const { id, last, n, tail, tail16, tail256, tail4096 } of this.#touched) {
      this.#statements.update.run(last, at, n, tail, tail16, tail256, tail4096, id)
    }
    this.#touched.clear()
    if (this.#held.size > MAX_HELD) this.#held.clear()
  }

  /**
   * Forgets channels with the oldest last event while there are too many, at most `most` of them. Returns the number of
   * rows that can no longer be found, and whether there are still too many channels.
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

  /** Forgets channels without kept events that have been quiet for long. Returns whether there are more. */
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
      // Its other columns are written by the flush.
      this.#statements.insert.run(seq, name, keep, age)
      this.#count++
    }
    this.#held.set(name, channel)
    return channel
  }

  #oldest(): Oldest | undefined {
    return this.#statements.oldest.get() as unknown as Oldest | undefined
  }

  /** It may have many rows: they are deleted gradually, and cannot be found without the channel. */
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
  /** The time of its newest row; null if that is deleted. */
  readonly kept: number | null
}

/** A retention as columns. A missing limit becomes one that is never reached. */
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
