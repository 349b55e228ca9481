import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs'
import { dirname } from 'node:path'

/** Past this the file is renamed and a new one begun. */
const MAX_BYTES = 1_048_576

/** The log that the demo writes of itself. At once, so that the last line before a kill is there as well. */
export class OwnLog {
  readonly #file: string

  constructor(file: string) {
    this.#file = file
    mkdirSync(dirname(file), { recursive: true })
  }

  write(text: string): void {
    const size = statSync(this.#file, { throwIfNoEntry: false })?.size ?? 0
    if (size > MAX_BYTES) renameSync(this.#file, `${this.#file}.1`)
    appendFileSync(this.#file, `${new Date().toISOString()} [${process.pid}] ${text}\n`)
  }
}
