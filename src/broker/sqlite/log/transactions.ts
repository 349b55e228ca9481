import type { SseError } from '../../../errors.ts'
import type { ResolvedHistoryOptions } from '../../retention.ts'
import { type Connection, type Driver, type Statement, sqliteCode } from './driver.ts'
import { LogProblem, unavailable, unknown } from './failure.ts'
import { FileInPlace } from './file-in-place.ts'
import { type Durability, openForWriting } from './schema.ts'
import { Tables } from './tables.ts'

/** The log to write to, and how. */
export interface WriterSettings {
  readonly driver: Driver
  readonly file: string
  readonly durability: Durability
  readonly history: ResolvedHistoryOptions
  /** The name of this life of the log. */
  readonly epoch: string
}

/** An open log. */
interface Open {
  readonly db: Connection
  readonly tables: Tables
  readonly fence: Statement
}

/** The row of the log after the last commit. */
type LogEnd = Pick<Tables, 'seq' | 'time' | 'exceptions'>

/**
 * Runs functions on the tables of a log, each in one transaction. A transaction starts only if the log is still the
 * file that was opened, and no other broker has opened it since.
 *
 * An error before COMMIT means that nothing was kept. After an error *of* COMMIT the outcome is unknown: the database
 * is opened again and compared. If that fails too, the `endBefore` of the next answer reports the outcome.
 */
export class Transactions {
  readonly #settings: WriterSettings
  /** Undefined after an error that left its state in doubt. */
  #open: Open | undefined
  #state: LogEnd = { seq: 0, time: 0, exceptions: undefined }
  /** The number of openings for writing up to this one: a higher number belongs to another broker. */
  #fence = 0
  /** Undefined until the log is open for the first time. */
  #fileInPlace: FileInPlace | undefined

  /** Opens the log, or creates it. */
  constructor(settings: WriterSettings) {
    this.#settings = settings
    this.#connect()
  }

  /** The log after the last commit, also while it is not open. */
  get state(): LogEnd {
    return this.#state
  }

  /** Runs `fn` and writes the row of the log, all in one transaction. `endBefore` is the end of the log before it. */
  run<T>(time: number, fn: (tables: Tables, endBefore: number) => T): T {
    const open = this.#connected()
    const { tables } = open
    const endBefore = tables.seq
    let result: T
    try {
      this.#begin(open)
      result = fn(tables, endBefore)
      tables.write(time)
    } catch (error) {
      throw this.#rollBack(open, error)
    }
    this.#commit(open, endBefore)
    return result
  }

  close(): void {
    this.#open?.db.close()
    this.#open = undefined
  }

  #begin({ db, fence }: Open): void {
    this.#fileInPlace!.assert()
    db.exec('BEGIN IMMEDIATE')
    if (countOf(fence) !== this.#fence) throw openedElsewhere()
  }

  /** Undoes a transaction before its COMMIT. */
  #rollBack({ db, tables }: Open, error: unknown): SseError {
    try {
      try {
        db.exec('ROLLBACK')
      } catch {
        // After some errors SQLite has rolled back on its own.
      }
      tables.reload()
    } catch {
      this.#disconnect()
    }
    return unavailable(error)
  }

  /** Ends a transaction. An error of COMMIT may come from a commit that reached the disk: the log is compared. */
  #commit({ db, tables }: Open, endBefore: number): void {
    const end = tables.seq
    try {
      db.exec('COMMIT')
      this.#state = { seq: end, time: tables.time, exceptions: tables.exceptions }
    } catch (error) {
      this.#disconnect()
      try {
        this.#connect()
      } catch {
        this.#disconnect()
        // A full disk has not accepted the end of the commit, and a recovery ignores a commit without its end.
        throw sqliteCode(error) === 'FULL' ? unavailable(error) : unknown(error)
      }
      if (this.#state.seq !== end || end === endBefore) throw unavailable(error)
    }
  }

  #connected(): Open {
    try {
      return this.#open ?? this.#connect()
    } catch (error) {
      throw unavailable(error)
    }
  }

  #connect(): Open {
    const { driver, file, durability, history, epoch } = this.#settings
    this.#fileInPlace?.assert()
    const db = openForWriting(driver, file, durability)
    try {
      const tables = new Tables(db, history, epoch)
      const fence = db.prepare('SELECT fence FROM hub')
      const count = countOf(fence)
      if (this.#fileInPlace !== undefined && count !== this.#fence) throw openedElsewhere()
      // A failed commit may have left all its pages in the write-ahead log, and a crash would reveal them: this write
      // overwrites them. It also detects at once that a file is not writable.
      db.exec('UPDATE hub SET fence = fence + 1')
      this.#fence = count + 1
      this.#fileInPlace ??= new FileInPlace(file)
      tables.reload()
      this.#state = { seq: tables.seq, time: tables.time, exceptions: tables.exceptions }
      this.#open = { db, tables, fence }
      return this.#open
    } catch (error) {
      db.close()
      throw error
    }
  }

  #disconnect(): void {
    const open = this.#open
    this.#open = undefined
    try {
      open?.db.close()
    } catch {
      // It is not used again, in any state.
    }
  }
}

function countOf(fence: Statement): number {
  return (fence.get() as { fence: number }).fence
}

function openedElsewhere(): LogProblem {
  return new LogProblem('Another broker has opened the file of the log since: one file serves one hub.')
}
