import { createRequire } from 'node:module'

export type SqlValue = string | number | null | Uint8Array
export type Row = Record<string, SqlValue>

/** A prepared statement. */
export interface Statement {
  run(...values: SqlValue[]): void
  get(...values: SqlValue[]): Row | undefined
  all(...values: SqlValue[]): Row[]
}

/** One connection to a database. All calls are synchronous: it belongs to a separate thread. */
export interface Connection {
  exec(sql: string): void
  prepare(sql: string): Statement
  close(): void
}

/** Opens databases. */
export interface Driver {
  open(file: string): Connection
}

export type DriverName = 'node:sqlite' | 'better-sqlite3'

/** No driver is available. The message names the package to install. */
export class DriverMissing extends Error {}

/** `node:sqlite` if this Node has it, otherwise the optional peer `better-sqlite3`; or the requested one. */
export async function loadDriver(name?: DriverName): Promise<Driver> {
  if (name !== 'better-sqlite3') {
    const builtin = process.getBuiltinModule?.('node:sqlite') as NodeSqlite | undefined
    if (builtin !== undefined) return { open: (file) => new builtin.DatabaseSync(file) }
    if (name === 'node:sqlite') throw new DriverMissing(`Node ${process.version} has no node:sqlite.`)
  }
  return loadBetterSqlite()
}

/** The used part of `node:sqlite`, which is missing in the types of the oldest supported Node. */
interface NodeSqlite {
  readonly DatabaseSync: new (file: string) => Connection
}

async function loadBetterSqlite(): Promise<Driver> {
  const install = `Node ${process.version} has no node:sqlite: npm install better-sqlite3@12, or use Node 22.13 or newer.`
  let major: number
  try {
    const { version } = createRequire(import.meta.url)('better-sqlite3/package.json') as { version: string }
    major = Number.parseInt(version, 10)
  } catch (error) {
    throw new DriverMissing(install, { cause: error })
  }
  // Loading the binary of 13 ends the process on a Node that lacks its interface.
  if (major > 12) throw new DriverMissing(`better-sqlite3 ${major} does not run here. ${install}`)
  try {
    const { default: Database } = await import('better-sqlite3')
    // The binary is loaded with the first database.
    new Database(':memory:').close()
    return { open: (file) => new Database(file) as unknown as Connection }
  } catch (error) {
    throw new DriverMissing(
      'better-sqlite3 is installed, but its binary cannot be loaded: npm rebuild better-sqlite3.',
      {
        cause: error,
      },
    )
  }
}

/** Text as a column. The `node:sqlite` of older versions ends a text at its first NUL when it reads it. */
export function toColumn(text: string): SqlValue {
  return text.includes('\0') ? Buffer.from(text) : text
}

export function fromColumn(value: SqlValue): string {
  return typeof value === 'string' ? value : Buffer.from(value as Uint8Array).toString()
}

/**
 * The primary result code of SQLite: `FULL`, `BUSY`, `CORRUPT`…; undefined for an error that does not come from SQLite.
 */
export function sqliteCode(error: unknown): string | undefined {
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  if (typeof errcode === 'number') return RESULT_CODES[errcode & 0xff] ?? 'ERROR'
  if (typeof code === 'string' && code.startsWith('SQLITE_')) return code.split('_')[1]
  return undefined
}

/** [sqlite] https://www.sqlite.org/rescode.html: the codes with a separate message. */
const RESULT_CODES: Record<number, string> = {
  5: 'BUSY',
  8: 'READONLY',
  10: 'IOERR',
  11: 'CORRUPT',
  13: 'FULL',
  14: 'CANTOPEN',
  26: 'NOTADB',
}
