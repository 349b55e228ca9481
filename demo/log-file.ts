import type { Stats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { StringDecoder } from 'node:string_decoder'

const POLL_MS = 250
const READ_BYTES = 65_536
/** A longer line is cut, so that a file without line ends costs no more than this. */
const MAX_LINE = 65_536

/**
 * Follows the lines that are appended to a file, from its present end on: across a rotation by renaming (the old file
 * is read to its end first) and by truncating, and when there is no file yet.
 */
export class LogFile {
  readonly #path: string
  readonly #publish: (line: string) => void
  #file: { handle: FileHandle; inode: number; at: number } | undefined
  #decoder = new StringDecoder('utf8')
  /** The beginning of a line whose end is not there yet. */
  #line = ''
  /** The line was cut: what is left of it goes nowhere. */
  #skipping = false
  #timer: NodeJS.Timeout | undefined
  #polling: Promise<void> = Promise.resolve()
  #stopped = false

  constructor(path: string, publish: (line: string) => void) {
    this.#path = path
    this.#publish = publish
  }

  /** Resolves when it follows: what is appended from then on is heard. */
  async start(): Promise<void> {
    const stats = await this.#stat()
    if (stats !== undefined) await this.#open(stats, stats.size)
    this.#schedule()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#polling
    await this.#close()
  }

  /** Looks once at the file, as the timer does. */
  async poll(): Promise<void> {
    const stats = await this.#stat()
    if (this.#file !== undefined) {
      // Until it is known that nobody writes to the old file any more, it may still grow.
      await this.#readOn()
      if (stats === undefined || stats.ino !== this.#file.inode) await this.#close()
      else if (stats.size < this.#file.at) this.#rewind()
    }
    if (this.#file === undefined && stats !== undefined) await this.#open(stats, 0)
    await this.#readOn()
  }

  #schedule(): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => {
      // A file that cannot be read now may be readable the next time.
      this.#polling = this.poll()
        .catch(() => this.#close())
        .then(() => this.#schedule())
    }, POLL_MS)
  }

  async #stat(): Promise<Stats | undefined> {
    try {
      return await stat(this.#path)
    } catch {
      return undefined
    }
  }

  async #open(stats: Stats, at: number): Promise<void> {
    const handle = await open(this.#path, 'r')
    this.#file = { handle, inode: stats.ino, at }
  }

  async #close(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    // The last line of a file that is gone has no end coming.
    if (this.#line !== '') this.#emit()
    this.#decoder = new StringDecoder('utf8')
    this.#skipping = false
    await file?.handle.close().catch(() => {})
  }

  #rewind(): void {
    this.#file!.at = 0
    this.#line = ''
    this.#skipping = false
    this.#decoder = new StringDecoder('utf8')
  }

  async #readOn(): Promise<void> {
    const buffer = Buffer.allocUnsafe(READ_BYTES)
    for (;;) {
      const file = this.#file
      if (file === undefined || this.#stopped) return
      const { bytesRead } = await file.handle.read(buffer, 0, READ_BYTES, file.at)
      if (bytesRead === 0) return
      file.at += bytesRead
      this.#take(this.#decoder.write(buffer.subarray(0, bytesRead)))
    }
  }

  #take(text: string): void {
    const pieces = text.split('\n')
    const rest = pieces.pop()!
    for (const piece of pieces) {
      this.#append(piece)
      if (!this.#skipping) this.#emit()
      this.#line = ''
      this.#skipping = false
    }
    this.#append(rest)
  }

  #append(text: string): void {
    if (this.#skipping) return
    this.#line += text
    if (this.#line.length <= MAX_LINE) return
    this.#line = `${this.#line.slice(0, MAX_LINE)} … (cut)`
    this.#emit()
    this.#skipping = true
  }

  #emit(): void {
    this.#publish(this.#line.replace(/\r$/, ''))
    this.#line = ''
  }
}
