import { resolveSqliteOptions, type SqliteBrokerOptions } from './options.ts'
import { type SqliteBroker, SqliteLogBroker } from './sqlite-broker.ts'

export type { EntryRetentionOptions, HistoryOptions, RetentionOptions } from '../retention.ts'
export type { SqliteBroker, SqliteBrokerOptions }

/**
 * A log in a SQLite file: a restart, a crash or a deploy loses nothing, and a client that reconnects resumes where it
 * stopped. One file serves one hub of one process. It needs Node 22.13 or newer, or `better-sqlite3` 12 beside this
 * package. Throws a TypeError that names an invalid option. A problem with the file rejects `hub.ready()`.
 */
export function sqliteBroker(options: SqliteBrokerOptions): SqliteBroker {
  return new SqliteLogBroker(resolveSqliteOptions(options))
}
