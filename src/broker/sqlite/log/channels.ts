import type { ResolvedHistoryOptions, Retention } from '../../retention.ts'
import type { Connection } from './driver.ts'
import { channelQuota, type Entries, type Entry } from './entries.ts'

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
  readonly entry: Entry
}

/** The number of channels in memory at a time. Dropped ones are read again. */
const MAX_HELD = 100_000

/** The channels of a log: their names, and the position of the last event of each. The writer's half. */
export class Channels {
  readonly #options: ResolvedHistoryOptions
  readonly #entries: Entries
  readonly #held = new Map<string, ChannelState>()
  readonly #touched = new Set<ChannelState>()
  readonly #statements: ReturnType<typeof prepare>
  #count = 0

  constructor(db: Connection, options: ResolvedHistoryOptions, entries: Entries) {
    this.#options = options
    this.#entries = entries
    this.#statements = prepare(db)
  }

  /** Forgets the state in memory, which a failed transaction may have changed. */
  reload(): void {
    this.#held.clear()
    this.#touched.clear()
    this.#count = this.#statements.count.get()!['count'] as number
  }

  /** Gives every channel the retention of the current options. Returns whether any retention has changed. */
  retain(): boolean {
    let changed = false
    for (const row of this.#statements.all.all()) {
      const entry = this.#entries.of(row['name'] as string)
      const { keep, age } = columnsOf(entry.retention)
      const quota = channelQuota(entry)
      if (keep === row['keep'] && age === row['age'] && quota === row['quota']) continue
      this.#statements.retain.run(keep, age, quota, row['id']!)
      changed = true
    }
    if (changed) this.#entries.reload()
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
    let left = most
    const forget = (oldest: Oldest) => {
      rows += Math.min(oldest.n, oldest.keep)
      this.#forget(oldest)
      left--
    }
    for (const entry of this.#entries.overChannels) {
      while (left > 0 && entry.channels > entry.retention.maxChannels) forget(this.#oldestOf(entry))
    }
    while (left > 0 && this.#count > this.#options.maxChannels) forget(this.#oldest()!)
    return { rows, more: this.#count > this.#options.maxChannels || this.#entries.overChannels.length > 0 }
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
    const entry = this.#entries.of(name)
    const row = this.#statements.find.get(name) as unknown as Omit<ChannelState, 'entry'> | undefined
    let channel = row && { ...row, entry }
    if (channel === undefined) {
      const { keep, age } = columnsOf(entry.retention)
      channel = { id: seq, last: entry.floor, n: 0, tail: 0, tail16: 0, tail256: 0, tail4096: 0, keep, entry }
      // Its other columns are written by the flush.
      this.#statements.insert.run(seq, name, keep, age, channelQuota(entry))
      this.#entries.opened(entry)
      this.#count++
    }
    this.#held.set(name, channel)
    return channel
  }

  #oldest(): Oldest | undefined {
    return this.#statements.oldest.get() as unknown as Oldest | undefined
  }

  #oldestOf({ id }: Entry): Oldest {
    return this.#statements.oldestOf.get(id) as unknown as Oldest
  }

  /** It may have many rows: they are deleted gradually, and cannot be found without the channel. */
  #forget({ id, name, last }: Oldest): void {
    this.#statements.forget.run(id)
    this.#held.delete(name)
    this.#count--
    this.#entries.forgot(this.#entries.of(name), last)
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
  const oldest = `SELECT id, name, last, at, n, keep, age,
    (SELECT event.at FROM event WHERE event.seq = channel.tail) AS kept FROM channel`
  return {
    count: db.prepare('SELECT count(*) AS count FROM channel'),
    all: db.prepare('SELECT id, name, keep, age, quota FROM channel'),
    retain: db.prepare('UPDATE channel SET keep = ?, age = ?, quota = ? WHERE id = ?'),
    find: db.prepare('SELECT id, last, n, tail, tail16, tail256, tail4096, keep FROM channel WHERE name = ?'),
    insert: db.prepare('INSERT INTO channel VALUES (?, ?, 0, 0, 0, 0, 0, 0, 0, ?, ?, ?)'),
    update: db.prepare(`UPDATE channel SET last = ?, at = ?, n = ?, tail = ?, tail16 = ?, tail256 = ?, tail4096 = ?
      WHERE id = ?`),
    oldest: db.prepare(`${oldest} ORDER BY last LIMIT 1`),
    oldestOf: db.prepare(`${oldest} WHERE quota = ? ORDER BY last LIMIT 1`),
    forget: db.prepare('DELETE FROM channel WHERE id = ?'),
  }
}
