import {
  type Connection,
  type Driver,
  loadDriver,
  type SqlValue,
  type Statement,
} from '../../../../src/broker/sqlite/log/driver.ts'

/** Where a fault strikes. */
export type Moment = 'open' | 'insert' | 'before commit' | 'after commit' | 'any write' | 'fence' | 'read'

/** What goes wrong: a result code of SQLite, or `exit`: the thread ends. */
export interface Fault {
  readonly at: Moment
  readonly what: string
  /** How often it strikes. Default: once. */
  readonly times?: number
}

/** The next faults, and settings for SQLite itself. */
export interface Plan {
  /** The fault that strikes at this moment. Each that is asked for has struck. */
  strike(at: Moment): Fault | undefined
  /** How many pages the file may have; undefined = no limit. */
  maxPages(): number | undefined
}

/** A driver like the real one, except for the faults of a plan. */
export async function faultyDriver(plan: Plan): Promise<Driver> {
  const driver = await loadDriver()
  return {
    open: (file) => {
      if (!file.endsWith('-lock')) raise(plan.strike('open'))
      return new FaultyConnection(driver.open(file), plan)
    },
  }
}

class FaultyConnection implements Connection {
  readonly #db: Connection
  readonly #plan: Plan

  constructor(db: Connection, plan: Plan) {
    this.#db = db
    this.#plan = plan
  }

  exec(sql: string): void {
    if (sql === 'BEGIN IMMEDIATE') {
      this.#db.exec(`PRAGMA max_page_count = ${this.#plan.maxPages() ?? 4_294_967_294}`)
      raise(this.#plan.strike('any write'))
    }
    if (sql === 'BEGIN') raise(this.#plan.strike('read'))
    if (sql.startsWith('UPDATE hub SET fence')) raise(this.#plan.strike('fence'))
    if (sql !== 'COMMIT') return this.#db.exec(sql)
    const before = this.#plan.strike('before commit')
    // SQLite takes a transaction back whose COMMIT failed.
    if (before !== undefined) this.#db.exec('ROLLBACK')
    raise(before)
    this.#db.exec(sql)
    raise(this.#plan.strike('after commit'))
  }

  prepare(sql: string): Statement {
    const statement = this.#db.prepare(sql)
    if (!sql.startsWith('INSERT INTO event')) return statement
    return {
      run: (...values: SqlValue[]) => {
        raise(this.#plan.strike('insert'))
        statement.run(...values)
      },
      get: (...values) => statement.get(...values),
      all: (...values) => statement.all(...values),
    }
  }

  close(): void {
    this.#db.close()
  }
}

function raise(fault: Fault | undefined): void {
  if (fault === undefined) return
  if (fault.what === 'exit') process.exit(1)
  if (fault.what === 'throw') throw new Error('a bug')
  throw Object.assign(new Error(`a fault: ${fault.what}`), { code: `SQLITE_${fault.what}` })
}
