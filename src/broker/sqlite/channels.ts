import type { ResolvedHistoryOptions, Retention } from '../retention.ts'
import type { Connection } from './driver.ts'

/** What the writer knows of a channel. */
export interface ChannelState {
  readonly id: number
  readonly retention: Retention
  /** The `seq` of its last event, kept or not; of a new one, up to where everybody may have lost it. */
  last: number
  /** The number of its newest kept event. */
  n: number
  /** The number of its oldest row, or a lower one: rows that went with the oldest of the whole log are not counted. */
  low: number
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
  #lastId = 0

  constructor(db: Connection, options: ResolvedHistoryOptions) {
    this.#options = options
    this.#statements = prepare(db)
  }

  /** Forgets what is held, which a transaction may have changed in vain. */
  reload(floor: number): void {
    this.#held.clear()
    this.#touched.clear()
    this.floor = floor
    const { count, id } = this.#statements.totals.get() as { count: number; id: number }
    this.#count = count
    this.#lastId = id
  }

  /** The channel that an event is about to be appended to. */
  touch(name: string): ChannelState {
    const channel = this.#held.get(name) ?? this.#load(name)
    this.#touched.add(channel)
    return channel
  }

  /** Writes what the transaction has changed. Gives it back. */
  flush(at: number): readonly ChannelState[] {
    const touched = [...this.#touched]
    this.#touched.clear()
    for (const { id, last, n } of touched) this.#statements.update.run(last, at, n, id)
    if (this.#held.size > MAX_HELD) this.#held.clear()
    return touched
  }

  /** Forgets channels with the oldest last event while there are too many, at most so many. Whether there still are. */
  forgetExcess(most: number): boolean {
    for (let left = most; left > 0 && this.#count > this.#options.maxChannels; left--) this.#forget(this.#oldest()!)
    return this.#count > this.#options.maxChannels
  }

  /** Forgets channels of which nothing is kept, and nothing has come for long. Whether there are more. */
  forgetQuiet(time: number, most: number): boolean {
    for (let left = most; left > 0; left--) {
      const oldest = this.#oldest()
      if (oldest === undefined || oldest.at >= time - this.#options.rememberMs || oldest.kept === 1) return false
      this.#forget(oldest)
    }
    return true
  }

  #load(name: string): ChannelState {
    const retention = this.#options.retentionOf(name)
    const row = this.#statements.find.get(name) as { id: number; last: number; n: number; low: number } | undefined
    let channel: ChannelState
    if (row === undefined) {
      channel = { id: ++this.#lastId, retention, last: this.floor, n: 0, low: 1 }
      this.#count++
      // What it holds comes with the flush.
      this.#statements.insert.run(channel.id, name)
    } else {
      channel = { ...row, retention }
    }
    this.#held.set(name, channel)
    return channel
  }

  #oldest(): Oldest | undefined {
    return this.#statements.oldest.get() as Oldest | undefined
  }

  #forget({ id, name, last, kept }: Oldest): void {
    // Its events can be many: they go little by little, and nobody finds them without the channel.
    if (kept === 1) this.#statements.bury.run(id)
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
  /** 1 when there are rows of events. */
  readonly kept: number
}

function prepare(db: Connection) {
  return {
    totals: db.prepare(`SELECT (SELECT count(*) FROM channel) AS count,
      max((SELECT coalesce(max(id), 0) FROM channel), (SELECT coalesce(max(id), 0) FROM forgotten)) AS id`),
    find: db.prepare(`SELECT id, last, n,
      coalesce((SELECT n FROM event WHERE event.channel = channel.id ORDER BY seq LIMIT 1), n + 1) AS low
      FROM channel WHERE name = ?`),
    insert: db.prepare('INSERT INTO channel VALUES (?, ?, 0, 0, 0)'),
    update: db.prepare('UPDATE channel SET last = ?, at = ?, n = ? WHERE id = ?'),
    oldest: db.prepare(`SELECT id, name, last, at, EXISTS (SELECT 1 FROM event WHERE event.channel = channel.id) AS kept
      FROM channel ORDER BY last LIMIT 1`),
    bury: db.prepare('INSERT INTO forgotten VALUES (?)'),
    forget: db.prepare('DELETE FROM channel WHERE id = ?'),
  }
}
