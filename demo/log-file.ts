import type { Stats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { StringDecoder } from 'node:string_decoder'

const POLL_MS = 250
const READ_BYTES = 65_536
/** A longer line is cut, so that a file without line ends costs no more than this. */
const MAX_LINE = 65_536

interface OpenFile {
  readonly handle: FileHandle
  readonly device: number
  readonly inode: number
  /** Where to read on. */
  at: number
  /** There was another file at the path when it was last looked at. */
  replaced: boolean
}

/**
 * Follows the lines that are appended to a file, from its current end on. It continues across a rotation by renaming
 * (the old file is read to its end first), across truncation, and before the file exists. Holds at most one line and
 * one chunk: the next line waits until the last is published.
 */
export class LogFile {
  readonly #path: string
  readonly #publish: (line: string) => unknown
  #file: OpenFile | undefined
  #decoder = new StringDecoder('utf8')
  /** The beginning of a line whose end is not there yet. */
  #line = ''
  /** The line was cut: the rest of it is dropped. */
  #skipping = false
  #timer: NodeJS.Timeout | undefined
  #polling: Promise<void> = Promise.resolve()
  #stopped = false

  /** `publish` may return a promise, which is awaited; it should not fail. */
  constructor(path: string, publish: (line: string) => unknown) {
    this.#path = path
    this.#publish = publish
  }

  /** Resolves when it follows: it reports lines that are appended later. Rejects for a path that cannot be followed. */
  async start(): Promise<void> {
    const stats = await this.#look()
    if (stats !== undefined) {
      if (!stats.isFile()) throw new Error('it is not a file')
      await this.#open('end')
    }
    this.#schedule()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#polling
    await this.#file?.handle.close()
    this.#file = undefined
  }

  /** Looks once at the file, as the timer does. One look at a time: two would read the same lines. */
  poll(): Promise<void> {
    // What cannot be read now may be readable the next time, and the position is kept until then.
    this.#polling = this.#polling.then(() => this.#poll()).catch(() => {})
    return this.#polling
  }

  #schedule(): void {
    if (this.#stopped) return
    this.#timer = setTimeout(() => this.poll().then(() => this.#schedule()), POLL_MS)
  }

  async #poll(): Promise<void> {
    if (this.#stopped) return
    if (this.#file !== undefined) {
      await this.#readOn(this.#file)
      if (await this.#isOver(this.#file)) await this.#leave(this.#file)
    }
    if (this.#file !== undefined || !(await this.#look())?.isFile()) return
    await this.#readOn(await this.#open('beginning'))
  }

  /** Whether the open file is no longer written to. */
  async #isOver(file: OpenFile): Promise<boolean> {
    const stats = await this.#look()
    // Renamed with nothing in its place yet: its writer has still to notice. Deleted: it should not be kept on the disk.
    if (stats === undefined) return (await file.handle.stat()).nlink === 0
    // An open file keeps its inode, so that no other one can have the same.
    if (stats.ino === file.inode && stats.dev === file.device) return false
    // The writer may switch only after the new file was made: the old one is read once more.
    if (file.replaced) return true
    file.replaced = true
    return false
  }

  async #look(): Promise<Stats | undefined> {
    try {
      return await stat(this.#path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }

  async #open(from: 'beginning' | 'end'): Promise<OpenFile> {
    const handle = await open(this.#path, 'r')
    // Of the open file: the path may name another file since the first look.
    const { dev, ino, size } = await handle.stat()
    this.#file = { handle, device: dev, inode: ino, at: from === 'end' ? size : 0, replaced: false }
    return this.#file
  }

  async #leave(file: OpenFile): Promise<void> {
    this.#file = undefined
    await file.handle.close()
    await this.#endLine()
  }

  async #readOn(file: OpenFile): Promise<void> {
    // Before the read: lines that are appended during it would make the file look shrunk.
    const { size } = await file.handle.stat()
    if (size < file.at) {
      file.at = 0
      await this.#endLine()
    }
    const buffer = Buffer.allocUnsafe(READ_BYTES)
    while (!this.#stopped) {
      const { bytesRead } = await file.handle.read(buffer, 0, READ_BYTES, file.at)
      if (bytesRead === 0) return
      file.at += bytesRead
      await this.#take(this.#decoder.write(buffer.subarray(0, bytesRead)))
    }
  }

  /** The beginning of a line that gets no end, in a file that is gone or was truncated, is a line. */
  async #endLine(): Promise<void> {
    this.#decoder = new StringDecoder('utf8')
    if (this.#line !== '') await this.#emit()
    this.#skipping = false
  }

  async #take(text: string): Promise<void> {
    const pieces = text.split('\n')
    const rest = pieces.pop()!
    for (const piece of pieces) {
      await this.#append(piece)
      if (!this.#skipping) await this.#emit()
      this.#skipping = false
    }
    await this.#append(rest)
  }

  async #append(text: string): Promise<void> {
    if (this.#skipping) return
    this.#line += text
    if (this.#line.length <= MAX_LINE) return
    // The cut may have gone through a character of two halves.
    this.#line = `${this.#line.slice(0, MAX_LINE).toWellFormed()} … (cut)`
    this.#skipping = true
    await this.#emit()
  }

  async #emit(): Promise<void> {
    const line = this.#line.replace(/\r$/, '')
    this.#line = ''
    await this.#publish(line)
  }
}
