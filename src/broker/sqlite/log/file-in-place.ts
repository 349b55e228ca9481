import { existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { LogProblem } from './failure.ts'

// A log is its file, whatever path leads to it. SQLite's own locks do not see it so: they belong to a path, or to a
// process, and the kernel drops them when any code of the process closes the same file.

/** The path of the file itself: symbolic links are followed, also those of the folder of a file that does not exist yet. */
export function realFile(file: string): string {
  if (existsSync(file)) return realpathSync(file)
  const folder = dirname(file)
  return existsSync(folder) ? join(realpathSync(folder), basename(file)) : file
}

/** Which file a path leads to; undefined when there is none. */
export function inodeOf(file: string): string | undefined {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false })
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`
}

/** Checks that a log in use is still the file at its path. */
export class FileInPlace {
  readonly #file: string
  readonly #inode: string | undefined

  /** Throws when the file has several names: two brokers could open it without knowing of each other. */
  constructor(file: string) {
    this.#file = file
    this.#inode = inodeOf(file)
    const names = statSync(file, { throwIfNoEntry: false })?.nlink ?? 1
    if (names > 1) throw new LogProblem('The file of the log has several names (hard links): give it one.')
  }

  /** Throws when the file was deleted or replaced: what is written to it now can never be read again. */
  assert(): void {
    if (inodeOf(this.#file) === this.#inode) return
    throw new LogProblem('The file of the log was deleted or replaced while it was in use: restart the process.')
  }
}
