import { type Connection, type Driver, sqliteCode } from './driver.ts'
import { LogProblem } from './failure.ts'
import { open } from './schema.ts'

/** How long to wait for a process that is about to let go. */
export const PATIENCE_MS = 1_000

/**
 * Makes this the only broker of a log: an exclusive transaction on an empty database beside it, until it is closed. The
 * kernel takes it away from a process that dies, however it dies. The file itself cannot be locked so, because a
 * connection that reads goes with the one that writes.
 */
export function lock(driver: Driver, file: string): Connection {
  const db = open(driver, `${file}-lock`)
  try {
    db.exec(`PRAGMA busy_timeout = ${PATIENCE_MS}; BEGIN EXCLUSIVE`)
    return db
  } catch (error) {
    db.close()
    if (sqliteCode(error) !== 'BUSY') throw error
    throw new LogProblem('The file of the log is open in another broker: one file serves one hub.', { cause: error })
  }
}
