import type { Clock } from '../../clock.ts'
import { SseError } from '../../errors.ts'
import type { Group, Outcome } from '../broker.ts'
import type { StoredEvent } from '../stored-event.ts'
import { unavailable, unknown } from './failure.ts'
import type { Appended, Batch, LogState, Opened, WriterRequest } from './messages.ts'
import { packEvents } from './messages.ts'
import { countAppended, outcomesOf, storedEvents } from './receipts.ts'
import { type Thread, ThreadDied } from './thread.ts'

/** What one commit takes, except for a single call of more. */
const MAX_EVENTS = 1_000
const MAX_BYTES = 1_048_576
/** What may wait for a disk that does not keep up, in bytes of encoded text. */
export const MAX_WAITING_BYTES = 67_108_864
/** How often all channels are looked at for what retention does not keep. */
const SWEEP_MS = 60_000
const MIN_BACK_OFF_MS = 100
const MAX_BACK_OFF_MS = 5_000

/** What the commits of a log lead to. */
export interface CommitsHost {
  readonly epoch: string
  readonly clock: Clock
  /** The time of the log. */
  time(): number
  /** Its time goes on from here. */
  opened(time: number): void
  /** Events were committed, `seq` is the end of the log. */
  committed(events: readonly StoredEvent[], seq: number): void
  /** The end of the log is `seq`, and what is before it was not handed over. */
  moved(seq: number): void
}

/** One call of `publish`. */
interface Call {
  readonly groups: readonly Group[]
  readonly batch: Batch
  readonly events: number
  readonly bytes: number
  resolve(outcomes: readonly Outcome[]): void
  reject(error: unknown): void
}

/**
 * Group commit that clocks itself: whenever the thread that writes is idle, it gets all that has come meanwhile as one
 * batch. No timer, so a quiet log commits at once and a busy one in large steps. Exactly one batch is under way.
 */
export class Commits {
  readonly #host: CommitsHost
  readonly #makeThread: (onDeath: () => void) => Thread<WriterRequest>
  #thread: Thread<WriterRequest> | undefined
  /** `down`: the last attempt to open the log failed, and another one is due. */
  #state: 'opening' | 'open' | 'down' | 'closed' = 'opening'
  #queue: Call[] = []
  #waitingBytes = 0
  /** The calls of the batch that is under way, or whose outcome the next opening tells. */
  #underWay: readonly Call[] = []
  #busy = false
  /** The end of the log, as far as it was told. */
  #end = 0
  #served = false
  #servings: { resolve(): void; reject(error: unknown): void }[] = []
  #sweepDue = true
  #timer: unknown
  #backOffMs = MIN_BACK_OFF_MS
  /** Why the log is down. */
  #reason: unknown
  #idle: (() => void)[] = []

  constructor(host: CommitsHost, makeThread: (onDeath: () => void) => Thread<WriterRequest>) {
    this.#host = host
    this.#makeThread = makeThread
  }

  /** Opens the log for the first time. Gives its end. */
  async open(): Promise<number> {
    try {
      const { base } = await this.#open()
      this.#end = base
      this.#state = 'open'
      this.#next()
      return base
    } catch (error) {
      this.#refuseAll(error)
      throw error
    }
  }

  publish(groups: readonly Group[]): Promise<readonly Outcome[]> {
    if (this.#isDown) return Promise.reject(unavailable(this.#reason))
    const batch = packEvents(groups)
    const bytes = groups.reduce((sum, group) => sum + group.reduce((sum, { bytes }) => sum + bytes, 0), 0)
    if (this.#waitingBytes + bytes > MAX_WAITING_BYTES && this.#queue.length > 0) {
      const detail = 'The disk of the log does not keep up: too much is waiting for it.'
      return Promise.reject(new SseError('ERR_SSE_BROKER_UNAVAILABLE', detail))
    }
    return new Promise((resolve, reject) => {
      const events = groups.reduce((sum, group) => sum + group.length, 0)
      this.#queue.push({ groups, batch, events, bytes, resolve, reject })
      this.#waitingBytes += bytes
      this.#next()
    })
  }

  /** Resolves when this life of the log is one that is remembered, so that a position of it can be given out. */
  async serve(): Promise<void> {
    if (this.#served) return
    if (this.#isDown) throw unavailable(this.#reason)
    await new Promise<void>((resolve, reject) => {
      this.#servings.push({ resolve, reject })
      this.#next()
    })
  }

  get #isDown(): boolean {
    return this.#state === 'down' || this.#state === 'closed'
  }

  /** Settles what was asked before, and lets go. */
  async close(): Promise<void> {
    if (this.#queue.length > 0 || this.#busy) await new Promise<void>((resolve) => this.#idle.push(resolve))
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

  /** Gives the thread what comes next, if it is idle. */
  #next(): void {
    if (this.#busy) return
    if (this.#state === 'open') {
      if (this.#servings.length > 0 && !this.#served) return this.#ask({ do: 'serve', time: this.#host.time() })
      if (this.#queue.length > 0) return this.#append()
      // What is being closed is not swept.
      if (this.#sweepDue && this.#idle.length === 0) return this.#ask({ do: 'sweep', time: this.#host.time() })
    }
    if (this.#queue.length === 0) for (const fn of this.#idle.splice(0)) fn()
  }

  #append(): void {
    let events = 0
    let bytes = 0
    const calls = this.#queue
    let count = 0
    for (; count < calls.length; count++) {
      const call = calls[count]!
      events += call.events
      bytes += call.bytes
      if (count > 0 && (events > MAX_EVENTS || bytes > MAX_BYTES)) break
      this.#waitingBytes -= call.bytes
    }
    this.#underWay = calls.slice(0, count)
    this.#queue = calls.slice(count)
    const batch = joinBatches(this.#underWay)
    this.#ask({ do: 'append', batch, time: this.#host.time(), sweep: this.#sweepDue })
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
    const calls = this.#underWay
    this.#underWay = []
    this.#busy = false
    this.#backOffMs = MIN_BACK_OFF_MS
    const { base, more } = state
    const previous = this.#end
    const prevs = 'prevs' in state ? state.prevs : []
    this.#end = base + prevs.length
    if (request.do === 'serve' || prevs.length > 0) this.#nowServed()
    if (more) this.#sweepDue = true
    else if (request.do === 'sweep' || (request.do === 'append' && request.sweep)) this.#rest(SWEEP_MS)
    // The thread goes on while this one tells what it did.
    this.#next()
    if (base > previous) this.#host.moved(base)
    if (!('prevs' in state)) return
    const groups = calls.flatMap((call) => call.groups)
    const outcomes = outcomesOf(groups, { epoch: this.#host.epoch, seq: base }, state.special)
    try {
      if (prevs.length > 0) this.#host.committed(storedEvents(groups, outcomes, prevs), base + prevs.length)
    } finally {
      settle(calls, outcomes)
    }
  }

  /** The thread has refused. It goes on by itself; what an unknown outcome was, its next answer tells. */
  #failed(request: Extract<WriterRequest, { time: number }>, error: unknown): void {
    const calls = this.#underWay
    this.#underWay = []
    this.#busy = false
    for (const call of calls) call.reject(error)
    if (request.do === 'serve') this.#refuseServings(error)
    this.#rest(this.#backOff())
    this.#next()
  }

  /** The thread is gone, and with it the answer to what was under way: another one is asked. */
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

  #reopened({ base, special }: Opened, reason: unknown): void {
    const calls = this.#underWay
    this.#underWay = []
    const previous = this.#end
    this.#end = base
    this.#sweepDue = true
    this.#next()
    if (base > previous) this.#host.moved(base)
    else {
      for (const call of calls) call.reject(unavailable(reason))
      return
    }
    const groups = calls.flatMap((call) => call.groups)
    const outcomes = outcomesOf(groups, { epoch: this.#host.epoch, seq: previous }, special)
    if (countAppended(outcomes) === base - previous) settle(calls, outcomes)
    else for (const call of calls) call.reject(unknown(reason))
  }

  #nowServed(): void {
    this.#served = true
    for (const { resolve } of this.#servings.splice(0)) resolve()
  }

  /** The log could not be opened. */
  #refuseAll(reason: unknown): void {
    this.#state = 'down'
    this.#reason = reason
    for (const call of this.#underWay) call.reject(unknown(reason))
    for (const call of this.#queue) call.reject(reason)
    this.#underWay = []
    this.#queue = []
    this.#waitingBytes = 0
    this.#refuseServings(reason)
  }

  #refuseServings(error: unknown): void {
    for (const { reject } of this.#servings.splice(0)) reject(error)
  }

  /** The next sweep is due in so long. */
  #rest(ms: number): void {
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

function joinBatches(calls: readonly Call[]): Batch {
  if (calls.length === 1) return calls[0]!.batch
  return {
    groups: calls.flatMap(({ batch }) => batch.groups),
    values: calls.flatMap(({ batch }) => batch.values),
  }
}

/** Gives each call its part of the outcomes of a batch. */
function settle(calls: readonly Call[], outcomes: readonly Outcome[]): void {
  let from = 0
  for (const { groups, resolve } of calls) {
    resolve(outcomes.slice(from, from + groups.length))
    from += groups.length
  }
}
