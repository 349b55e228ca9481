import type { Clock } from '../../clock.ts'
import type { Group, Outcome } from '../broker.ts'
import type { EphemeralEvent } from '../ephemeral-event.ts'
import type { StoredEvent } from '../stored-event.ts'
import { type Call, CommitQueue, reject, settle } from './commit-queue.ts'
import { type Appended, joinBatches, type LogState } from './log/batch.ts'
import { unavailable, unknown } from './log/failure.ts'
import { countAppended, eventsOf, outcomesOf } from './receipts.ts'
import type { Opened, WriterRequest } from './thread/protocol.ts'
import { type Thread, ThreadDied } from './thread/thread.ts'

/** The interval at which all channels are checked for expired rows. */
const SWEEP_MS = 60_000
const MIN_BACK_OFF_MS = 100
const MAX_BACK_OFF_MS = 5_000

/** The environment of `Commits`, and the receiver of their results. */
export interface CommitsHost {
  readonly epoch: string
  readonly clock: Clock
  /** The time of the log. */
  time(): number
  /** The log was opened: its time continues from here. */
  opened(time: number): void
  /** Events were committed, `seq` is the end of the log. */
  committed(events: readonly (StoredEvent | EphemeralEvent)[], seq: number): void
  /** The end of the log is `seq`, and the events before it were not handed over. */
  moved(seq: number): void
}

/**
 * Group commit without a timer: whenever the writing thread is idle, it gets all waiting calls as one batch. So a quiet
 * log commits at once, and a busy one in large steps. Exactly one batch is in progress.
 */
export class Commits {
  readonly #host: CommitsHost
  readonly #makeThread: (onDeath: () => void) => Thread<WriterRequest>
  #thread: Thread<WriterRequest> | undefined
  /** `down`: the last attempt to open the log failed, and another one is due. */
  #state: 'opening' | 'open' | 'down' | 'closed' = 'opening'
  readonly #queue = new CommitQueue()
  /** The calls of the batch in progress, or of one whose outcome the next opening reports. */
  #inProgress: readonly Call[] = []
  #busy = false
  /** The end of the log, as far as the writer reported it. */
  #end = 0
  #isEpochRemembered = false
  /** Waiting for the epoch to be remembered. */
  #epochWaiters: { resolve(): void; reject(error: unknown): void }[] = []
  #sweepDue = true
  #timer: unknown
  #backOffMs = MIN_BACK_OFF_MS
  /** The reason why the log is down. */
  #reason: unknown
  #idle: (() => void)[] = []

  constructor(host: CommitsHost, makeThread: (onDeath: () => void) => Thread<WriterRequest>) {
    this.#host = host
    this.#makeThread = makeThread
  }

  /** Opens the log for the first time. Resolves with its end. */
  async open(): Promise<number> {
    try {
      const { endBefore } = await this.#open()
      this.#end = endBefore
      this.#state = 'open'
      this.#next()
      return endBefore
    } catch (error) {
      this.#refuseAll(error)
      throw error
    }
  }

  publish(groups: readonly Group[]): Promise<readonly Outcome[]> {
    if (this.#isDown) return Promise.reject(unavailable(this.#reason))
    const outcomes = this.#queue.add(groups)
    this.#next()
    return outcomes
  }

  /** Resolves when the log remembers its current life, so that a position of it can be given out. */
  async rememberEpoch(): Promise<void> {
    if (this.#isEpochRemembered) return
    if (this.#isDown) throw unavailable(this.#reason)
    await new Promise<void>((resolve, reject) => {
      this.#epochWaiters.push({ resolve, reject })
      this.#next()
    })
  }

  get #isDown(): boolean {
    return this.#state === 'down' || this.#state === 'closed'
  }

  /** Settles the calls before it, and ends the thread. */
  async close(): Promise<void> {
    if (!this.#queue.isEmpty || this.#busy) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#state = 'closed'
    this.#host.clock.clearTimeout(this.#timer)
    await this.#thread?.end()
  }

  async #open(): Promise<Opened> {
    const thread = this.#makeThread(() => this.#reopen(this.#reason))
    this.#thread = thread
    try {
      const { epoch, clock } = this.#host
      const opened = await thread.ask<Opened>({ do: 'open', epoch, wallTime: Math.floor(clock.now()) })
      this.#host.opened(opened.time)
      return opened
    } catch (error) {
      this.#thread = undefined
      await thread.end()
      throw unavailable(error)
    }
  }

  /** Gives the thread its next request, if it is idle. */
  #next(): void {
    if (this.#busy) return
    if (this.#state === 'open') {
      if (this.#epochWaiters.length > 0 && !this.#isEpochRemembered)
        return this.#ask({ do: 'rememberEpoch', time: this.#host.time() })
      if (!this.#queue.isEmpty) return this.#append()
      // A log that is closing is not swept.
      if (this.#sweepDue && this.#idle.length === 0) return this.#ask({ do: 'sweep', time: this.#host.time() })
    }
    if (this.#queue.isEmpty) for (const fn of this.#idle.splice(0)) fn()
  }

  #append(): void {
    this.#inProgress = this.#queue.take()
    const batch = joinBatches(this.#inProgress.map(({ batch }) => batch))
    if (batch.values.length === 0) return this.#handOver()
    this.#ask({ do: 'append', batch, time: this.#host.time(), sweep: this.#sweepDue })
  }

  /** Nothing of the calls is to be kept: they need no commit. In a turn of its own, as after a commit. */
  #handOver(): void {
    this.#busy = true
    const request = { do: 'append', batch: joinBatches([]), time: 0, sweep: false } as const
    const state = { endBefore: this.#end, sweepAgain: false, prevs: [], exceptions: undefined }
    Promise.resolve().then(() => this.#answered(request, state))
  }

  #ask(request: Extract<WriterRequest, { time: number }>): void {
    this.#busy = true
    this.#thread!.ask<LogState | Appended>(request).then(
      (state) => this.#answered(request, state),
      (error) => {
        if (error instanceof ThreadDied) this.#reopen(error)
        else this.#failed(request, error)
      },
    )
  }

  #answered(request: Extract<WriterRequest, { time: number }>, state: LogState | Appended): void {
    const calls = this.#inProgress
    this.#inProgress = []
    this.#busy = false
    this.#backOffMs = MIN_BACK_OFF_MS
    const { endBefore, sweepAgain } = state
    const previous = this.#end
    const prevs = 'prevs' in state ? state.prevs : []
    this.#end = endBefore + prevs.length
    if (request.do === 'rememberEpoch' || prevs.length > 0) this.#epochRemembered()
    if (sweepAgain) this.#sweepDue = true
    else if (request.do === 'sweep' || (request.do === 'append' && request.sweep)) this.#sweepIn(SWEEP_MS)
    // The thread works on while this one reports its results.
    this.#next()
    if (endBefore > previous) this.#host.moved(endBefore)
    if (!('prevs' in state)) return
    const groups = calls.flatMap((call) => call.groups)
    const outcomes = outcomesOf(groups, { epoch: this.#host.epoch, seq: endBefore }, state.exceptions)
    const events = eventsOf(groups, outcomes, prevs)
    try {
      if (events.length > 0) this.#host.committed(events, this.#end)
    } finally {
      settle(calls, outcomes)
    }
  }

  /** The thread refused the request, and stays usable. Its next answer reports an outcome that is unknown now. */
  #failed(request: Extract<WriterRequest, { time: number }>, error: unknown): void {
    const calls = this.#inProgress
    this.#inProgress = []
    this.#busy = false
    reject(calls, error)
    if (request.do === 'rememberEpoch') this.#rejectEpochWaiters(error)
    this.#sweepIn(this.#backOff())
    this.#next()
  }

  /** The thread ended without an answer to the request in progress: another thread is started and asked. */
  #reopen(reason: unknown): void {
    if (this.#state === 'closed') return
    this.#state = 'opening'
    this.#busy = true
    this.#host.clock.clearTimeout(this.#timer)
    this.#open().then(
      (opened) => {
        this.#busy = false
        this.#state = 'open'
        this.#reopened(opened, reason)
      },
      (error) => {
        this.#busy = false
        this.#refuseAll(error)
        this.#timer = this.#host.clock.setTimeout(() => this.#reopen(error), this.#backOff())
        this.#next()
      },
    )
  }

  #reopened({ endBefore, exceptions }: Opened, reason: unknown): void {
    const calls = this.#inProgress
    this.#inProgress = []
    const previous = this.#end
    this.#end = endBefore
    this.#sweepDue = true
    this.#next()
    if (endBefore <= previous) return reject(calls, unavailable(reason))
    this.#host.moved(endBefore)
    const groups = calls.flatMap((call) => call.groups)
    const outcomes = outcomesOf(groups, { epoch: this.#host.epoch, seq: previous }, exceptions)
    if (countAppended(outcomes) === endBefore - previous) settle(calls, outcomes)
    else reject(calls, unknown(reason))
  }

  #epochRemembered(): void {
    this.#isEpochRemembered = true
    for (const { resolve } of this.#epochWaiters.splice(0)) resolve()
  }

  /** The log could not be opened. */
  #refuseAll(reason: unknown): void {
    this.#state = 'down'
    this.#reason = reason
    reject(this.#inProgress, unknown(reason))
    this.#inProgress = []
    this.#queue.rejectAll(reason)
    this.#rejectEpochWaiters(reason)
  }

  #rejectEpochWaiters(error: unknown): void {
    for (const { reject } of this.#epochWaiters.splice(0)) reject(error)
  }

  /** The next sweep is due after `ms`. */
  #sweepIn(ms: number): void {
    const { clock } = this.#host
    this.#sweepDue = false
    clock.clearTimeout(this.#timer)
    this.#timer = clock.setTimeout(() => {
      this.#sweepDue = true
      this.#next()
    }, ms)
  }

  #backOff(): number {
    const ms = this.#backOffMs
    this.#backOffMs = Math.min(2 * ms, MAX_BACK_OFF_MS)
    return ms
  }
}
