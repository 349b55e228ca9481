import { type Connection, type Driver, sqliteCode } from './driver.ts'
import { LogProblem } from './failure.ts'
import { open } from './schema.ts'

/** The wait for a process that is about to release the log. */
export const PATIENCE_MS = 1_000

/**
 * Makes this the only broker of a log, until the lock is closed: an exclusive transaction on an empty database beside
 * it. The kernel releases it when the process dies, in every case. The file itself cannot be locked like this, because
 * the reading connection must work beside the writing one.
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
