import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { SseError } from '../../../errors.ts'
import { LogProblem } from '../log/failure.ts'
import type { Answer, ReaderRequest, ThreadData, WriterRequest } from './protocol.ts'

/** The thread ended with a request in progress. */
export class ThreadDied extends Error {}

/**
 * The module of the threads. It is searched when a log is opened, not when this module is loaded: a bundler may have
 * omitted it, or produced a module without a URL.
 */
export function findWorker(): URL {
  const here: string | undefined = import.meta.url
  const worker = here && new URL(here.endsWith('.ts') ? './worker-from-source.mjs' : './worker.js', here)
  if (worker && existsSync(worker)) return worker
  const at = worker ? fileURLToPath(worker) : 'a path that this bundle does not know'
  throw new LogProblem(
    'The worker of the log is missing: leave express-sse-hub/sqlite out of the bundle, as an external package.',
    { cause: new Error(`${at} does not exist.`) },
  )
}

interface Pending {
  resolve(value: unknown): void
  reject(error: unknown): void
}

/**
 * A worker thread that answers requests. It keeps the process alive only while a request is in progress: an idle log
 * does not, like a timer of the memory broker.
 */
export class Thread<Request extends WriterRequest | ReaderRequest> {
  readonly #worker: Worker
  readonly #exited: Promise<void>
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  /** The reason why it ended; undefined while it runs. */
  #death: ThreadDied | undefined
  #ending = false

  /** `onDeath` is called if it ends on its own without a request in progress. */
  constructor(worker: URL, data: ThreadData, onDeath?: () => void) {
    // The arguments of the process are for the application: some of them would end a thread at once.
    try {
      this.#worker = new Worker(worker, { workerData: data, execArgv: [] })
    } catch (cause) {
      throw new LogProblem('This process may not start the threads of the log: allow it with --allow-worker.', {
        cause,
      })
    }
    this.#worker.unref()
    this.#worker.on('message', (answer: Answer) => this.#settle(answer))
    let cause: unknown
    this.#worker.on('error', (error) => {
      cause = error
    })
    this.#exited = new Promise((resolve) => {
      this.#worker.on('exit', () => {
        this.#die(cause, onDeath)
        resolve()
      })
    })
  }

  get isDead(): boolean {
    return this.#death !== undefined
  }

  /** Rejects with the error that the thread answers, an `SseError`, or with `ThreadDied`. */
  ask<T>(request: Request): Promise<T> {
    if (this.#death !== undefined) return Promise.reject(this.#death)
    return new Promise<T>((resolve, reject) => {
      if (this.#pending.size === 0) this.#worker.ref()
      const id = ++this.#lastId
      this.#pending.set(id, { resolve: resolve as (value: unknown) => void, reject })
      this.#worker.postMessage({ id, request })
    })
  }

  /** Lets the thread close its resources, and waits until it has ended. */
  async end(): Promise<void> {
    this.#ending = true
    this.#worker.ref()
    await this.ask({ do: 'close' } as Request).catch(() => {})
    await this.#exited
  }

  #settle(answer: Answer): void {
    const pending = this.#pending.get(answer.id)!
    this.#pending.delete(answer.id)
    if (this.#pending.size === 0 && !this.#ending) this.#worker.unref()
    if ('value' in answer) return pending.resolve(answer.value)
    const { code, detail, cause } = answer.error
    pending.reject(new SseError(code, detail, { cause: new Error(cause) }))
  }

  #die(cause: unknown, onDeath: (() => void) | undefined): void {
    const wasAsked = this.#pending.size > 0
    this.#death = new ThreadDied('The thread of the log ended.', { cause })
    for (const { reject } of this.#pending.values()) reject(this.#death)
    this.#pending.clear()
    if (!wasAsked && !this.#ending) onDeath?.()
  }
}
