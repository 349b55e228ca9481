import { randomUUID } from 'node:crypto'
import { fileURLToPath } from 'node:url'
import express, { type Router } from 'express'
import type { ChannelHub } from '../src/index.ts'
import type { Channels, JobKind, JobProgress } from './channels.ts'
import { refuse } from './guard.ts'
import { type JobStep, runJob } from './job.ts'
import { shortName, visitorOf } from './visitors.ts'

/** At a time, over all visitors: they share the machine. Of one visitor there is one. */
const MAX_JOBS = 3
const MAX_MS = 120_000

const KINDS: readonly string[] = ['sha256', 'gzip'] satisfies JobKind[]
/** What may be read, and nothing else. */
const FOLDERS: readonly string[] = ['src', 'test', 'node_modules']

interface Job {
  readonly visitor: string
  readonly controller: AbortController
  progress: JobProgress
  /** Settled when it has ended, and its end is published. */
  over: Promise<unknown>
}

/** Jobs that visitors start by POST and cancel by DELETE. Progress goes to the channel of the visitor who started it. */
export class Jobs {
  readonly #hub: ChannelHub<Channels>
  readonly #log: (text: string) => void
  readonly #jobs = new Map<string, Job>()

  constructor(hub: ChannelHub<Channels>, log: (text: string) => void) {
    this.#hub = hub
    this.#log = log
  }

  router(): Router {
    const router = express.Router()
    router.post('/', express.json({ limit: 1_000 }), (req, res) => {
      const visitor = visitorOf(req)
      const { kind, folder } = (req.body ?? {}) as Record<string, unknown>
      if (visitor === undefined) return refuse(res, 400, 'A job has a visitor.')
      if (typeof kind !== 'string' || !KINDS.includes(kind)) return refuse(res, 400, `kind: ${KINDS.join(', ')}.`)
      if (typeof folder !== 'string' || !FOLDERS.includes(folder)) {
        return refuse(res, 400, `folder: ${FOLDERS.join(', ')}.`)
      }
      const jobs = [...this.#jobs.values()]
      if (jobs.some((job) => job.visitor === visitor)) return refuse(res, 409, 'Your last job is still in progress.')
      if (jobs.length >= MAX_JOBS) return refuse(res, 429, 'Other visitors have jobs in progress. Try again soon.')
      const id = randomUUID().slice(0, 8)
      this.#start(id, visitor, kind as JobKind, folder)
      res.status(202).json({ id })
    })
    // For a page that was away: a job ends with the process that it runs in.
    router.get('/:id', (req, res) => {
      const job = this.#jobs.get(req.params.id)
      if (job?.visitor !== visitorOf(req)) return refuse(res, 404, 'Unknown job.')
      res.json(job!.progress)
    })
    router.delete('/:id', (req, res) => {
      const job = this.#jobs.get(req.params.id)
      if (job === undefined || job.visitor !== visitorOf(req)) return refuse(res, 404, 'Unknown job.')
      job.controller.abort()
      res.sendStatus(204)
    })
    return router
  }

  /** Resolves when no job is in progress. */
  async cancelAll(): Promise<void> {
    const jobs = [...this.#jobs.values()]
    for (const { controller } of jobs) controller.abort()
    await Promise.all(jobs.map(({ over }) => over))
  }

  #start(id: string, visitor: string, kind: JobKind, folder: string): void {
    const nothing = { files: 0, totalFiles: 0, bytes: 0, totalBytes: 0, says: '' }
    const progress: JobProgress = { id, kind, folder, state: 'counting', ms: 0, ...nothing }
    const job: Job = { visitor, controller: new AbortController(), progress, over: Promise.resolve() }
    this.#jobs.set(id, job)
    this.#log(`${shortName(visitor)} started a job: ${kind} of ${folder}`)
    job.over = this.#run(job).finally(() => this.#jobs.delete(id))
  }

  async #run(job: Job): Promise<void> {
    const { visitor, controller } = job
    const { kind, folder } = job.progress
    const startedAt = performance.now()
    const tell = (step: JobStep | Pick<JobProgress, 'state' | 'says'>) => {
      job.progress = { ...job.progress, ...step, ms: Math.round(performance.now() - startedAt) }
      // A lagging page gets only the newest state. Failures are reported by the hub.
      return this.#hub
        .publish(`visitor.${visitor}`, job.progress, { event: 'job', conflationKey: 'job' })
        .catch(() => {})
    }
    const signal = AbortSignal.any([controller.signal, AbortSignal.timeout(MAX_MS)])
    try {
      const root = fileURLToPath(new URL(`../${folder}`, import.meta.url))
      for await (const step of runJob(kind, root, signal)) await tell(step)
    } catch (error) {
      if (controller.signal.aborted) await tell({ state: 'cancelled', says: '' })
      else await tell({ state: 'failed', says: signal.aborted ? 'It took too long.' : (error as Error).message })
    }
    const { state, files, ms } = job.progress
    this.#log(`${shortName(visitor)}: job ${state} after ${files} files, ${(ms / 1000).toFixed(1)} s`)
  }
}
