import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { opendir, stat } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { PassThrough, pipeline } from 'node:stream'
import { createGzip } from 'node:zlib'
import type { JobKind } from './channels.ts'

/** How far a job is. */
export interface JobStep {
  readonly state: 'counting' | 'running' | 'done'
  readonly files: number
  readonly totalFiles: number
  readonly bytes: number
  readonly totalBytes: number
  readonly says: string
}

const MAX_FILES = 200_000
const STEP_MS = 100

/**
 * Reads every file of a folder, one after the other, and hashes or compresses it. Yields its progress at most ten times
 * a second, and the result at the end. Throws the reason of the signal when it fires.
 */
export async function* runJob(kind: JobKind, root: string, signal: AbortSignal): AsyncGenerator<JobStep> {
  const files: { path: string; size: number }[] = []
  let totalBytes = 0
  let bytes = 0
  let done = 0
  let toldAt = performance.now()
  const step = (state: JobStep['state'], says: string): JobStep => {
    toldAt = performance.now()
    return { state, files: done, totalFiles: files.length, bytes, totalBytes, says }
  }
  const isTime = () => performance.now() - toldAt >= STEP_MS

  yield step('counting', '')
  for await (const path of filesOf(root)) {
    signal.throwIfAborted()
    const { size } = await stat(path)
    files.push({ path, size })
    totalBytes += size
    if (files.length === MAX_FILES) break
    if (isTime()) yield step('counting', relative(root, path))
  }
  const work = kind === 'sha256' ? new Hashing() : new Compressing()
  for (const { path } of files) {
    const name = relative(root, path)
    for await (const chunk of work.through(name, path, signal)) {
      bytes += chunk
      if (isTime()) yield step('running', name)
    }
    done++
    if (isTime()) yield step('running', name)
  }
  // Files may have grown since they were counted.
  totalBytes = bytes
  yield step('done', work.result())
}

/** Every file below a folder. Links are not followed: they may lead anywhere. */
async function* filesOf(folder: string): AsyncGenerator<string> {
  for await (const entry of await opendir(folder)) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) yield* filesOf(path)
    else if (entry.isFile()) yield path
  }
}

/** One digest over names and contents. */
class Hashing {
  readonly #hash = createHash('sha256')

  async *through(name: string, path: string, signal: AbortSignal): AsyncGenerator<number> {
    this.#hash.update(`${name}\0`)
    for await (const chunk of createReadStream(path, { signal })) {
      this.#hash.update(chunk)
      yield chunk.length
    }
  }

  result(): string {
    return `SHA-256 ${this.#hash.digest('hex')}`
  }
}

/** Each file separately; the output is counted and dropped. */
class Compressing {
  #in = 0
  #out = 0

  async *through(_name: string, path: string, signal: AbortSignal): AsyncGenerator<number> {
    const source = createReadStream(path, { signal })
    let read = 0
    source.on('data', (chunk) => {
      read += chunk.length
    })
    const packed = new PassThrough()
    // A failure reaches the loop below through the last of them.
    pipeline(source, createGzip(), packed, () => {})
    for await (const chunk of packed) {
      this.#out += chunk.length
      yield read
      this.#in += read
      read = 0
    }
  }

  result(): string {
    const percent = this.#in === 0 ? 0 : (100 * this.#out) / this.#in
    return `gzip: ${megabytes(this.#in)} became ${megabytes(this.#out)}, ${percent.toFixed(1)} %`
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`
}
