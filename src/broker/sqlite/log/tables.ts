import type { ResolvedHistoryOptions } from '../../retention.ts'
import type { Exceptions, PackedEvent } from './batch.ts'
import { type ChannelState, Channels } from './channels.ts'
import { type Connection, toColumn } from './driver.ts'
import { Entries, eventQuota } from './entries.ts'
import { Epochs } from './epochs.ts'
import { Keys } from './keys.ts'
import { Trimmer } from './trimmer.ts'

/** The number of expired idempotency keys that one transaction deletes. */
const MAX_KEYS_AT_ONCE = 2_000

/** The tables of a log on the writing connection, and the row with the end of the log. */
export class Tables {
  readonly entries: Entries
  readonly channels: Channels
  readonly keys: Keys
  readonly trimmer: Trimmer
  readonly epochs: Epochs
  readonly #statements: ReturnType<typeof prepare>
  /** The end of the log. */
  seq = 0
  /** The time of the last commit. */
  time = 0
  /** The exceptions of the last append. */
  exceptions: Exceptions | undefined
  /** The contents of the row of the log: a transaction that changes nothing writes nothing. */
  #written = ''

  constructor(db: Connection, history: ResolvedHistoryOptions, epoch: string) {
    this.entries = new Entries(db, history)
    this.channels = new Channels(db, history, this.entries)
    this.keys = new Keys(db)
    this.trimmer = new Trimmer(db, history, this.channels, this.entries)
    this.epochs = new Epochs(db, epoch)
    this.#statements = prepare(db)
  }

  /** Reads the state in memory from the file again, after a transaction that was rolled back. */
  reload(): void {
    const { seq, time, rows, bytes, expiredRows, exceptions } = this.#statements.state.get() as unknown as HubRow
    this.entries.reload()
    this.channels.reload()
    this.keys.reload()
    this.trimmer.reload({ rows, bytes, expiredRows })
    this.epochs.reload()
    this.seq = seq
    this.time = Math.max(this.time, time)
    this.exceptions = exceptions === null ? undefined : (JSON.parse(exceptions) as Exceptions)
    this.#written = this.#state()
  }

  /** Appends an event. Returns its `prev`. */
  append(event: PackedEvent, time: number): number {
    const seq = ++this.seq
    const channel = this.channels.touch(event.channel, seq)
    const prev = channel.last
    channel.last = seq
    // An event that is not kept is simply missing: the `prev` of the next event names it.
    if (channel.keep > 0 && event.bytes <= channel.entry.retention.maxEventBytes)
      this.#insert(event, channel, prev, time)
    return prev
  }

  /** Deletes some expired rows and old keys. Returns whether there may be more. */
  sweep(time: number): boolean {
    const sweepAgain = this.trimmer.sweep(time)
    return this.keys.dropOld(time, MAX_KEYS_AT_ONCE) || sweepAgain
  }

  /** Writes the row of the log: the last statement of a transaction. */
  write(time: number): void {
    this.entries.flush()
    const state = this.#state()
    if (state === this.#written) return
    this.#written = state
    this.time = Math.max(this.time, time)
    const { rows, bytes, expiredRows } = this.trimmer.contents
    const exceptions = this.exceptions === undefined ? null : JSON.stringify(this.exceptions)
    this.#statements.write.run(this.seq, this.time, rows, bytes, expiredRows, exceptions)
  }

  #insert(event: PackedEvent, channel: ChannelState, prev: number, time: number): void {
    const { seq } = this
    const { data, json, conflationKey, bytes } = event
    const n = ++channel.n
    const { id, tail, tail16, tail256, tail4096 } = channel
    const type = event.event ?? null
    const key = conflationKey === undefined ? null : toColumn(conflationKey)
    const rest = [time, bytes, json ? 1 : 0, type, key, toColumn(data), eventQuota(channel.entry)] as const
    this.#statements.insert.run(seq, id, prev, n, tail, tail16, tail256, tail4096, ...rest)
    channel.tail = seq
    if (n % 16 === 0) channel.tail16 = seq
    if (n % 256 === 0) channel.tail256 = seq
    if (n % 4096 === 0) channel.tail4096 = seq
    this.entries.count(eventQuota(channel.entry), bytes)
    this.trimmer.added(bytes, n > channel.keep)
  }

  #state(): string {
    const { rows, expiredRows } = this.trimmer.contents
    return `${this.seq} ${rows} ${expiredRows}`
  }
}

interface HubRow {
  readonly seq: number
  readonly time: number
  readonly rows: number
  readonly bytes: number
  readonly expiredRows: number
  readonly exceptions: string | null
}

function prepare(db: Connection) {
  return {
    state: db.prepare(`SELECT seq, time, rows, bytes, expired_rows AS "expiredRows", exceptions FROM hub`),
    write: db.prepare('UPDATE hub SET seq = ?, time = ?, rows = ?, bytes = ?, expired_rows = ?, exceptions = ?'),
    insert: db.prepare('INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
  }
}
