import { closeSync, fdatasyncSync, mkdirSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** On the disk of the repository: the folder for temporary files is often not on a disk. */
const TEMP = fileURLToPath(new URL('../../.tmp/', import.meta.url))

let folder
let count = 0

/** A new file for a log. It goes with the process. */
export function logFile() {
  if (folder === undefined) {
    mkdirSync(TEMP, { recursive: true })
    folder = mkdtempSync(join(TEMP, 'bench-'))
    process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
    process.once('SIGTERM', () => process.exit())
  }
  return join(folder, `${++count}.db`)
}

/** How long the disk takes to keep 4 KiB at the end of a file, in ms, each time. */
export function syncTimes(times) {
  const fd = openSync(logFile(), 'w')
  const page = Buffer.alloc(4_096, 1)
  const took = Array.from({ length: times }, () => {
    writeSync(fd, page)
    const begin = performance.now()
    fdatasyncSync(fd)
    return performance.now() - begin
  })
  closeSync(fd)
  return took
}
