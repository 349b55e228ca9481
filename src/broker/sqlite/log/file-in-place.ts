import { existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { LogProblem } from './failure.ts'

// A log is its file, under any path. SQLite's own locks do not work that way: they belong to a path, or to a process,
// and the kernel drops them when any code of the process closes the same file.

/**
 * The path of the file itself: symbolic links are resolved, including those in the folder of a file that does not exist
 * yet.
 */
export function realFile(file: string): string {
  if (existsSync(file)) return realpathSync(file)
  const folder = dirname(file)
  return existsSync(folder) ? join(realpathSync(folder), basename(file)) : file
}

/** Identifies the file at a path; undefined if it does not exist. */
export function inodeOf(file: string): string | undefined {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false })
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`
}

/** Checks that a log in use is still the file at its path. */
export class FileInPlace {
  readonly #file: string
  readonly #inode: string | undefined

  /** Throws if the file has several names: two brokers could open it without noticing each other. */
  constructor(file: string) {
    this.#file = file
    this.#inode = inodeOf(file)
    const names = statSync(file, { throwIfNoEntry: false })?.nlink ?? 1
    if (names > 1) throw new LogProblem('The file of the log has several names (hard links): give it one.')
  }

  /** Throws if the file was deleted or replaced: data that is written to it now could never be read again. */
  assert(): void {
    if (inodeOf(this.#file) === this.#inode) return
    throw new LogProblem('The file of the log was deleted or replaced while it was in use: restart the process.')
  }
}
