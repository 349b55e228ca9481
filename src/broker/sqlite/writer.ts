import type { SseError } from '../../errors.ts'
import type { Cursor } from '../../protocol/cursor.ts'
import { payloadDigest, scopedKey } from '../idempotency.ts'
import type { ResolvedHistoryOptions } from '../retention.ts'
import { Channels } from './channels.ts'
import { type Connection, type Driver, sqliteCode } from './driver.ts'
import { Epochs } from './epochs.ts'
import { LogProblem, unavailable, unknown } from './failure.ts'
import { FileInPlace } from './files.ts'
import { Keys } from './keys.ts'
import {
  type Appended,
  type Batch,
  type LogState,
  type PackedEvent,
  type Special,
  toColumn,
  unpackEvent,
} from './messages.ts'
import { type Durability, openForWriting } from './schema.ts'
import { Trimmer } from './trimmer.ts'

/** Idempotency keys that one transaction drops for their age. */
const MAX_KEYS_AT_ONCE = 2_000

/** What a writer writes to, and how. */
export interface WriterSettings {
  readonly driver: Driver
  readonly file: string
  readonly durability: Durability
  readonly history: ResolvedHistoryOptions
  /** The name of this life of the log. */
  readonly epoch: string
}

/** The tables of a log behind one connection. */
interface Tables {
  readonly db: Connection
  readonly channels: Channels
  readonly keys: Keys
  readonly trimmer: Trimmer
  readonly epochs: Epochs
  readonly statements: ReturnType<typeof prepare>
}

/** What an append has done, before it is committed. */
interface Outcome {
  readonly prevs: number[]
  readonly refused: [number, string][]
  readonly duplicates: [number, string, number][]
}

/**
 * The one who writes a log. Synchronous; every call is one transaction. `seq`, `prev` and time are given inside it, so
 * what fails leaves nothing that a later event could refer to.
 *
 * An error before COMMIT means that nothing was kept. An error *of* COMMIT says nothing: the database is opened anew and
 * asked. What cannot be told then is told by the `base` of the next answer.
 */
export class LogWriter {
  readonly #settings: WriterSettings
  /** Undefined after an error that left its state in doubt. */
  #tables: Tables | undefined
  /** The end of the log. */
  #seq = 0
  #time = 0
  #special: Special | undefined
  /** How often the log has been opened for writing: once more than this, and another broker writes to it. */
  #fence = 0
  /** Undefined until it is open for the first time. */
  #inPlace: FileInPlace | undefined
  /** What the row of the hub holds: a transaction that changes nothing writes nothing. */
  #written = ''

  /** Opens the log, or makes it. Its time goes on from `wallTime`, or from its last commit if that was later. */
  constructor(settings: WriterSettings, wallTime: number) {
    this.#settings = settings
    this.#connect()
    this.#time = Math.max(this.#time, wallTime)
    // Retention may be another one than last time.
    this.#transact(this.#time, ({ channels, trimmer }) => {
      if (channels.retain()) trimmer.changed()
      return false
    })
  }

  get seq(): number {
    return this.#seq
  }

  get time(): number {
    return this.#time
  }

  /** What the last append did besides appending. */
  get special(): Special | undefined {
    return this.#special
  }

  /** Appends a batch, group by group. `sweep`: and deletes some of what is not kept. */
  append(batch: Batch, time: number, sweep: boolean): Appended {
    const tables = this.#connected()
    const base = this.#seq
    let appended: Appended
    try {
      this.#begin(tables)
      const { prevs, refused, duplicates } = this.#append(tables, batch, time)
      const special = refused.length + duplicates.length === 0 ? undefined : { refused, duplicates }
      let more = false
      if (prevs.length > 0) {
        tables.epochs.serve(base)
        this.#special = special
        tables.channels.flush(time)
        more = tables.trimmer.trim(prevs.length, time)
      }
      if (sweep) more = sweepSome(tables, time) || more
      this.#writeHub(tables, time)
      appended = { base, more, prevs, special }
    } catch (error) {
      throw this.#undo(tables, error)
    }
    this.#commit(tables, base)
    return appended
  }

  /** Makes this epoch one that is remembered. */
  serve(time: number): LogState {
    return this.#transact(time, ({ epochs }) => {
      epochs.serve(this.#seq)
      return false
    })
  }

  /** Deletes some of what is not kept. */
  sweep(time: number): LogState {
    return this.#transact(time, (tables) => sweepSome(tables, time))
  }

  close(): void {
    this.#tables?.db.close()
    this.#tables = undefined
  }

  #transact(time: number, fn: (tables: Tables) => boolean): LogState {
    const tables = this.#connected()
    const base = this.#seq
    let more: boolean
    try {
      this.#begin(tables)
      more = fn(tables)
      this.#writeHub(tables, time)
    } catch (error) {
      throw this.#undo(tables, error)
    }
    this.#commit(tables, base)
    return { base, more }
  }

  #append(tables: Tables, batch: Batch, time: number): Outcome {
    const outcome: Outcome = { prevs: [], refused: [], duplicates: [] }
    let index = 0
    for (const [i, size] of batch.groups.entries()) {
      this.#appendGroup(tables, batch, { group: i, from: index, to: index + size }, time, outcome)
      index += size
    }
    return outcome
  }

  /** A group, all or nothing: it is refused before anything of it is appended. */
  #appendGroup(
    tables: Tables,
    batch: Batch,
    { group, from, to }: { group: number; from: number; to: number },
    time: number,
    { prevs, refused, duplicates }: Outcome,
  ): void {
    const { keys } = tables
    const digests = new Map<string, string>()
    const events: PackedEvent[] = []
    for (let i = from; i < to; i++) {
      const event = unpackEvent(batch, i)
      events.push(event)
      if (event.idempotencyKey === undefined) continue
      const key = scopedKey(event)
      const digest = payloadDigest(event)
      const known = digests.get(key) ?? keys.find(key, time)?.digest
      if (known !== undefined && known !== digest) {
        refused.push([group, event.channel])
        return
      }
      digests.set(key, digest)
    }
    for (const [i, event] of events.entries()) {
      const key = event.idempotencyKey === undefined ? undefined : scopedKey(event)
      const known = key === undefined ? undefined : keys.find(key, time)
      if (known !== undefined) {
        duplicates.push([from + i, known.id.epoch, known.id.seq])
        continue
      }
      prevs.push(this.#store(tables, event, time))
      if (key !== undefined) keys.add(key, digests.get(key)!, this.#cursor(this.#seq), time)
    }
  }

  /** Appends an event. Gives its `prev`. */
  #store({ channels, trimmer, statements }: Tables, event: PackedEvent, time: number): number {
    const seq = ++this.#seq
    const channel = channels.touch(event.channel, seq)
    const prev = channel.last
    channel.last = seq
    const { data, json, conflationKey, bytes } = event
    // What is not kept is simply missing: the next event's `prev` names it.
    if (channel.keep === 0 || bytes > this.#settings.history.maxBytes / 16) return prev
    const n = ++channel.n
    const { id, tail, tail16, tail256, tail4096 } = channel
    const type = event.event ?? null
    const key = conflationKey === undefined ? null : toColumn(conflationKey)
    const rest = [time, bytes, json ? 1 : 0, type, key, toColumn(data)] as const
    statements.event.run(seq, id, prev, n, tail, tail16, tail256, tail4096, ...rest)
    channel.tail = seq
    if (n % 16 === 0) channel.tail16 = seq
    if (n % 256 === 0) channel.tail256 = seq
    if (n % 4096 === 0) channel.tail4096 = seq
    trimmer.added(bytes, n > channel.keep)
    return prev
  }

  #writeHub({ channels, trimmer, statements }: Tables, time: number): void {
    const { rows, bytes, hidden } = trimmer.contents
    const state = `${this.#seq} ${channels.floor} ${rows} ${hidden}`
    if (state === this.#written) return
    this.#written = state
    this.#time = Math.max(this.#time, time)
    const special = this.#special === undefined ? null : JSON.stringify(this.#special)
    statements.hub.run(this.#seq, channels.floor, this.#time, rows, bytes, hidden, special)
  }

  /** Takes back what a transaction has done before its COMMIT. */
  #undo(tables: Tables, error: unknown): SseError {
    try {
      try {
        tables.db.exec('ROLLBACK')
      } catch {
        // SQLite has done it by itself after some errors.
      }
      this.#reload(tables)
    } catch {
      this.#disconnect()
    }
    return unavailable(error)
  }

  /** Begins a transaction on the log that was opened: at its path, and with no other broker writing to it. */
  #begin({ db, statements }: Tables): void {
    this.#inPlace!.assert()
    db.exec('BEGIN IMMEDIATE')
    const { fence } = statements.fence.get() as { fence: number }
    if (fence !== this.#fence) {
      throw new LogProblem('Another broker has opened the file of the log meanwhile: one file serves one hub.')
    }
  }

  /** Ends a transaction. An error of COMMIT may come from a commit that reached the disk: the log is asked. */
  #commit(tables: Tables, base: number): void {
    const end = this.#seq
    try {
      tables.db.exec('COMMIT')
    } catch (error) {
      this.#disconnect()
      try {
        this.#connect()
      } catch {
        this.#disconnect()
        // A disk that is full has not taken the end of the commit, by which a recovery would know it.
        throw sqliteCode(error) === 'FULL' ? unavailable(error) : unknown(error)
      }
      if (this.#seq !== end || end === base) throw unavailable(error)
    }
  }

  #connected(): Tables {
    try {
      if (this.#tables === undefined) this.#connect()
      return this.#tables!
    } catch (error) {
      throw unavailable(error)
    }
  }

  #connect(): void {
    const { driver, file, durability, history, epoch } = this.#settings
    this.#inPlace?.assert()
    const db = openForWriting(driver, file, durability)
    try {
      const channels = new Channels(db, history)
      const keys = new Keys(db)
      const tables: Tables = {
        db,
        channels,
        keys,
        trimmer: new Trimmer(db, history, channels),
        epochs: new Epochs(db, epoch),
        statements: prepare(db),
      }
      // A commit that failed may have left all of it in the write-ahead log, to be found after a crash: what is written
      // now takes its place. And a file that cannot be written to is found out before anybody needs it.
      const { fence } = tables.statements.fence.get() as { fence: number }
      if (this.#inPlace !== undefined && fence !== this.#fence) {
        throw new LogProblem('Another broker has opened the file of the log meanwhile: one file serves one hub.')
      }
      db.exec('UPDATE hub SET fence = fence + 1')
      this.#fence = fence + 1
      this.#inPlace ??= new FileInPlace(file)
      this.#reload(tables)
      this.#tables = tables
    } catch (error) {
      db.close()
      throw error
    }
  }

  #disconnect(): void {
    const tables = this.#tables
    this.#tables = undefined
    try {
      tables?.db.close()
    } catch {
      // It is of no use any more, in whatever state.
    }
  }

  #reload({ channels, keys, trimmer, epochs, statements }: Tables): void {
    const { seq, floor, time, rows, bytes, hidden, special } = statements.state.get() as unknown as HubRow
    channels.reload(floor)
    keys.reload()
    trimmer.reload({ rows, bytes, hidden })
    epochs.reload()
    this.#seq = seq
    this.#written = `${seq} ${floor} ${rows} ${hidden}`
    this.#time = Math.max(this.#time, time)
    this.#special = special === null ? undefined : (JSON.parse(special) as Special)
  }

  #cursor(seq: number): Cursor {
    return { epoch: this.#settings.epoch, seq }
  }
}

/** Deletes some of what is not kept. Whether there may be more. */
function sweepSome({ trimmer, keys }: Tables, time: number): boolean {
  const more = trimmer.sweep(time)
  return keys.dropOld(time, MAX_KEYS_AT_ONCE) || more
}

interface HubRow {
  readonly seq: number
  readonly floor: number
  readonly time: number
  readonly rows: number
  readonly bytes: number
  readonly hidden: number
  readonly special: string | null
}

function prepare(db: Connection) {
  return {
    state: db.prepare('SELECT seq, floor, time, rows, bytes, hidden, special FROM hub'),
    fence: db.prepare('SELECT fence FROM hub'),
    hub: db.prepare('UPDATE hub SET seq = ?, floor = ?, time = ?, rows = ?, bytes = ?, hidden = ?, special = ?'),
    event: db.prepare('INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)'),
  }
}
