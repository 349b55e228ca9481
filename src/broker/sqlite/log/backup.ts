import { closeSync, fsyncSync, openSync, rmSync } from 'node:fs'
import type { Driver } from './driver.ts'
import { LogProblem } from './failure.ts'
import { openForReading } from './schema.ts'

/** Copies a snapshot of the log into a new file, without its empty pages. Leaves nothing behind if it fails. */
export function backup(driver: Driver, file: string, to: string): void {
  try {
    closeSync(openSync(to, 'wx'))
  } catch (error) {
    const isThere = (error as { code?: unknown }).code === 'EEXIST'
    throw new LogProblem(`The backup ${isThere ? 'would replace an existing file' : 'cannot be written'}.`, {
      cause: error,
    })
  }
  try {
    const db = openForReading(driver, file)
    try {
      // SQLite treats a copy as a write. It accepts an empty file as the target.
      db.exec('PRAGMA query_only = OFF')
      db.prepare('VACUUM INTO ?').run(to)
    } finally {
      db.close()
    }
    const copy = openSync(to, 'r+')
    fsyncSync(copy)
    closeSync(copy)
  } catch (error) {
    rmSync(to, { force: true })
    throw error
  }
}
