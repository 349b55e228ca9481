import { existsSync, realpathSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LogProblem } from './failure.ts'
import { PATIENCE_MS } from './lock.ts'

// A log is its file, however it is named. SQLite's own locks do not see it so: they belong to a path, or to a process, and
// the kernel drops them when any code of the process closes the same file.

/** The path of the file itself: symbolic links are followed, also by those of the folder of a file that is to be made. */
export function realFile(file: string): string {
  if (existsSync(file)) return realpathSync(file)
  const folder = dirname(file)
  return existsSync(folder) ? join(realpathSync(folder), basename(file)) : file
}

/** Which file a path leads to; undefined when there is none. */
function inodeOf(file: string): string | undefined {
  const stats = statSync(file, { bigint: true, throwIfNoEntry: false })
  return stats === undefined ? undefined : `${stats.dev}:${stats.ino}`
}

/** Sees whether a log that is in use is still the file at its path. */
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

/** The logs that are open in this process, `Symbol.for`: a second copy of the package shares them. */
const OPEN = Symbol.for('express-sse-hub.sqlite.open')

/** Claims a log for one broker of this process; returns what gives it back. Waits for one that is about to let go. */
export async function claimFile(file: string): Promise<() => void> {
  const shared = globalThis as { [OPEN]?: Set<string> }
  shared[OPEN] ??= new Set<string>()
  const open = shared[OPEN]
  const end = performance.now() + PATIENCE_MS
  for (;;) {
    const names = [realFile(file), inodeOf(file)].filter((name) => name !== undefined)
    if (!names.some((name) => open.has(name))) {
      for (const name of names) open.add(name)
      return () => {
        for (const name of names) open.delete(name)
      }
    }
    if (performance.now() > end) {
      throw new LogProblem('The file of the log is open in another broker: one file serves one hub.')
    }
    await sleep(20)
  }
}

/** What is wrong with the files of a log, for the operator: with their paths. */
export function describeFiles(file: string): string {
  const faults = ['', '-wal', '-shm', '-lock'].flatMap((suffix) => {
    const path = `${file}${suffix}`
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? [`${path} is a directory`] : []
  })
  if (!existsSync(dirname(file))) faults.push(`${dirname(file)} does not exist`)
  return faults.length > 0 ? faults.join(', ') : file
}
