import { existsSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { LogProblem } from './log/failure.ts'
import { inodeOf, realFile } from './log/file-in-place.ts'
import { PATIENCE_MS } from './log/lock.ts'

/** The logs that are open in this process, `Symbol.for`: a second copy of the package shares them. */
const OPEN = Symbol.for('express-sse-hub.sqlite.open')

/**
 * Claims a log for one broker of this process. Returns the function that releases it. Waits for a broker that is
 * closing.
 */
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

/** The faults of the files of a log, for the operator: with their paths. */
export function describeFiles(file: string): string {
  const faults = ['', '-wal', '-shm', '-lock'].flatMap((suffix) => {
    const path = `${file}${suffix}`
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true ? [`${path} is a directory`] : []
  })
  if (!existsSync(dirname(file))) faults.push(`${dirname(file)} does not exist`)
  return faults.length > 0 ? faults.join(', ') : file
}
