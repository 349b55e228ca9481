import type { ResolvedHistoryOptions, Retention } from '../../retention.ts'
import type { Connection } from './driver.ts'

/** The state of one entry of `history.channels`, or of all channels without an entry. */
export interface Entry {
  readonly id: number
  readonly retention: Retention
  /** The last event of any of its channels that was forgotten. */
  floor: number
  /** Of the rows that its own limit counts. */
  bytes: number
  /** Its channels, if their number is limited. */
  channels: number
}

/** The entries of `history.channels` in a log. The writer's half. */
export class Entries {
  readonly #options: ResolvedHistoryOptions
  readonly #statements: ReturnType<typeof prepare>
  #byRetention = new Map<Retention, Entry>()
  #byId = new Map<number, Entry>()
  readonly #changed = new Set<Entry>()

  constructor(db: Connection, options: ResolvedHistoryOptions) {
    this.#options = options
    this.#statements = prepare(db)
  }

  /**
   * Makes the entries those of the options. If they are others than before, a channel may have another one now: any floor
   * may be its own. A limit of bytes counts the events since it was set.
   */
  adopt(): void {
    const names = this.#options.retentions.map(nameOf)
    const known = this.#statements.all.all() as unknown as EntryRow[]
    if (names.length === known.length && names.every((name, i) => name === known[i]!.name)) return
    const floor = Math.max(0, ...known.map((row) => row.floor))
    for (const { id, name } of known) if (!names.includes(name)) this.#statements.remove.run(id)
    for (const [place, name] of names.entries()) this.#statements.add.run(name, place, floor)
    this.reload()
  }

  reload(): void {
    const rows = new Map((this.#statements.all.all() as unknown as EntryRow[]).map((row) => [row.name, row]))
    const counts = new Map(this.#statements.count.all().map(({ quota, channels }) => [quota, channels as number]))
    this.#changed.clear()
    this.#byRetention = new Map()
    this.#byId = new Map()
    for (const retention of this.#options.retentions) {
      const { id, floor, bytes } = rows.get(nameOf(retention)) ?? { id: 0, floor: 0, bytes: 0 }
      const entry = { id, retention, floor, bytes, channels: counts.get(id) ?? 0 }
      this.#byRetention.set(retention, entry)
      this.#byId.set(id, entry)
      if (isOver(entry)) this.#changed.add(entry)
    }
  }

  /** The entry of a channel. */
  of(channel: string): Entry {
    return this.#byRetention.get(this.#options.retentionOf(channel))!
  }

  /** The entries with more rows than their limit. */
  get overBytes(): Entry[] {
    return [...this.#changed].filter(({ bytes, retention }) => bytes > retention.maxBytes)
  }

  /** The entries with more channels than their limit. */
  get overChannels(): Entry[] {
    return [...this.#changed].filter(({ channels, retention }) => channels > retention.maxChannels)
  }

  /** Counts a row that was added to an entry, or one that was deleted (`bytes` is negative). */
  count(quota: number | null, bytes: number): void {
    const entry = quota === null ? undefined : this.#byId.get(quota)
    // The row of an entry that was removed from the options counts for none.
    if (entry === undefined) return
    entry.bytes += bytes
    this.#changed.add(entry)
  }

  opened(entry: Entry): void {
    entry.channels++
    this.#changed.add(entry)
  }

  forgot(entry: Entry, last: number): void {
    entry.channels--
    entry.floor = Math.max(entry.floor, last)
    this.#changed.add(entry)
  }

  /** Writes the changes of the transaction. An entry that is still over a limit stays here for the next one. */
  flush(): void {
    for (const entry of this.#changed) {
      this.#statements.update.run(entry.floor, entry.bytes, entry.id)
      if (!isOver(entry)) this.#changed.delete(entry)
    }
  }
}

/** Column `quota` of a channel: its entry, if that limits the number of its channels. */
export function channelQuota({ id, retention }: Entry): number | null {
  return retention.maxChannels === Number.POSITIVE_INFINITY ? null : id
}

/** Column `quota` of an event: its entry, if that limits its bytes. */
export function eventQuota({ id, retention }: Entry): number | null {
  return retention.maxBytes === Number.POSITIVE_INFINITY ? null : id
}

function isOver({ bytes, channels, retention }: Entry): boolean {
  return bytes > retention.maxBytes || channels > retention.maxChannels
}

function nameOf({ entry }: Retention): string {
  return entry ?? ''
}

interface EntryRow {
  readonly id: number
  readonly name: string
  readonly floor: number
  readonly bytes: number
}

function prepare(db: Connection) {
  return {
    all: db.prepare('SELECT id, name, floor, bytes FROM entry ORDER BY place'),
    count: db.prepare('SELECT quota, count(*) AS channels FROM channel WHERE quota IS NOT NULL GROUP BY quota'),
    add: db.prepare(`INSERT INTO entry (name, place, floor, bytes) VALUES (?, ?, ?, 0)
      ON CONFLICT (name) DO UPDATE SET place = excluded.place, floor = excluded.floor`),
    update: db.prepare('UPDATE entry SET floor = ?, bytes = ? WHERE id = ?'),
    remove: db.prepare('DELETE FROM entry WHERE id = ?'),
  }
}
