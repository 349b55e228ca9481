import { SseError } from '../../errors.ts'
import type { Outcome } from '../broker.ts'
import { type Appendix, encodeBatch } from './batch.ts'
import { closed, isElsewhere, isRefusal, LinkEnded, unavailable, unknown } from './failure.ts'
import type { RedisBrokerSettings } from './options.ts'
import { endOf, outcomesOf } from './receipts.ts'
import { append } from './scripts.ts'
import type { Seen } from './seen.ts'
import type { Session } from './session.ts'

/** The maximum of one batch. A group is never split. */
const MAX_EVENTS = 128
const MAX_BYTES = 262_144
/** The maximum that may wait for a slow server, in bytes of encoded text. */
const MAX_WAITING_BYTES = 67_108_864
/** The time that a publish waits for an absent server. */
const PATIENCE_MS = 5_000
/** The limit for a server that is reachable, but whose connections end again and again. */
const LONGEST_MS = 15_000
const LOOK_MS = 250

/** A group that waits for its turn. */
interface Waiting extends Appendix {
  readonly bytes: number
  readonly since: number
  settle(outcome: Outcome): void
}

interface Batch {
  /** The script executes each number once. */
  readonly number: number
  readonly waiting: readonly Waiting[]
  readonly args: readonly string[]
  /** It may have been executed. */
  isSent: boolean
}

/**
 * Appends in the order of the calls. While one batch is in progress, the next one fills. A batch without an answer from
 * its link is sent first on the next link, under the same number. So each batch is executed exactly once, with or
 * without keys.
 */
export class Appends {
  readonly #settings: RedisBrokerSettings
  readonly #node: string
  readonly #seen: Seen
  #session: Session | undefined
  #queue: Waiting[] = []
  #waitingBytes = 0
  #batch: Batch | undefined
  #busy = false
  #number = 0
  #timer: NodeJS.Timeout | undefined
  #idle: (() => void)[] = []
  #isClosed = false
  /** The reason why there is no link. */
  #reason: unknown
  /** Batches that were sent again. */
  repeated = 0

  constructor(settings: RedisBrokerSettings, node: string, seen: Seen) {
    this.#settings = settings
    this.#seen = seen
    this.#node = node
  }

  /** Rejects if nothing can be kept; otherwise each group has its own outcome. */
  append(appendices: readonly Appendix[]): Promise<readonly Outcome[]> {
    if (this.#isClosed) return Promise.reject(closed())
    const sizes = appendices.map(({ group }) => group.reduce((sum, { bytes }) => sum + bytes, 0))
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    if (this.#queue.length > 0 && this.#waitingBytes + bytes > MAX_WAITING_BYTES) {
      const detail = 'Redis is too slow: too many events wait for it.'
      return Promise.reject(new SseError('ERR_SSE_BROKER_UNAVAILABLE', detail))
    }
    if (appendices.length === 0) return Promise.resolve([])
    return new Promise((resolve, reject) => {
      const outcomes: Outcome[] = new Array(appendices.length)
      let left = appendices.length
      const since = performance.now()
      for (const [i, { group, entry }] of appendices.entries()) {
        const settle = (outcome: Outcome) => {
          outcomes[i] = outcome
          if (--left > 0) return
          const code = failureOf(outcomes[0]!)
          if (code !== undefined && outcomes.every((one) => failureOf(one) === code)) reject(outcomes[0])
          else resolve(outcomes)
        }
        this.#queue.push({ group, entry, bytes: sizes[i]!, since, settle })
      }
      this.#waitingBytes += bytes
      this.#timer ??= setInterval(() => this.#look(), LOOK_MS).unref()
      this.#next()
    })
  }

  /** There is a link. */
  up(session: Session): void {
    this.#session = session
    this.#busy = false
    this.#next()
  }

  /** The link has ended, or the first one could not be opened. */
  down(reason: unknown): void {
    this.#session = undefined
    this.#reason = reason
    if (this.#isClosed) this.#giveUp()
  }

  /** Settles earlier publishes. */
  async close(): Promise<void> {
    this.#isClosed = true
    if (this.#session === undefined) this.#giveUp()
    else if (this.#batch !== undefined || this.#queue.length > 0) {
      await new Promise<void>((resolve) => this.#idle.push(resolve))
    }
    clearInterval(this.#timer)
  }

  #next(): void {
    const session = this.#session
    if (session === undefined || this.#busy) return
    this.#batch ??= this.#gather()
    if (this.#batch !== undefined) void this.#send(this.#batch, session)
    else for (const fn of this.#idle.splice(0)) fn()
  }

  #gather(): Batch | undefined {
    let events = 0
    let bytes = 0
    let count = 0
    for (; count < this.#queue.length; count++) {
      const waiting = this.#queue[count]!
      events += waiting.group.length
      bytes += waiting.bytes
      if (count > 0 && (events > MAX_EVENTS || bytes > MAX_BYTES)) break
      this.#waitingBytes -= waiting.bytes
    }
    if (count === 0) return undefined
    const waiting = this.#queue.slice(0, count)
    this.#queue = this.#queue.slice(count)
    const args = encodeBatch(waiting, this.#settings.history)
    return { number: ++this.#number, waiting, args, isSent: false }
  }

  async #send(batch: Batch, session: Session): Promise<void> {
    this.#busy = true
    if (batch.isSent) this.repeated++
    batch.isSent = true
    try {
      const answer = (await session.write(append, [this.#node, `${batch.number}`, ...batch.args])) as string
      this.#seen.addOld(endOf(answer))
      const outcomes = outcomesOf(
        batch.waiting.map(({ group }) => group),
        answer,
      )
      this.#settle(batch, (i) => outcomes[i]!)
    } catch (error) {
      // It is repeated on the next link. A batch that reached a replica may then reach its master.
      if (error instanceof LinkEnded) return
      if (isElsewhere(error)) return session.link.end(error)
      const failure = isRefusal(error) ? unavailable(error) : unknown(error)
      this.#settle(batch, () => failure)
    }
    if (this.#session !== session) return
    this.#busy = false
    this.#next()
  }

  #settle(batch: Batch, outcome: (i: number) => Outcome): void {
    // It may have been given up.
    if (this.#batch !== batch) return
    this.#batch = undefined
    for (const [i, { settle }] of batch.waiting.entries()) settle(outcome(i))
  }

  /** Gives up groups that have waited too long. */
  #look(): void {
    const now = performance.now()
    const batch = this.#batch
    const patience = this.#session === undefined ? PATIENCE_MS : LONGEST_MS
    if (batch !== undefined && now - batch.waiting[0]!.since > patience) {
      const failure = unknown(this.#reason)
      this.#settle(batch, () => failure)
    }
    if (this.#session === undefined) {
      let count = 0
      while (count < this.#queue.length && now - this.#queue[count]!.since > PATIENCE_MS) count++
      this.#refuse(count)
    }
    if (this.#batch === undefined && this.#queue.length === 0) {
      clearInterval(this.#timer)
      this.#timer = undefined
    }
  }

  #refuse(count: number): void {
    const refused = this.#queue.slice(0, count)
    this.#queue = this.#queue.slice(count)
    for (const { bytes, settle } of refused) {
      this.#waitingBytes -= bytes
      settle(unavailable(this.#reason))
    }
  }

  #giveUp(): void {
    if (this.#batch !== undefined) {
      const failure = unknown(this.#reason)
      this.#settle(this.#batch, () => failure)
    }
    this.#refuse(this.#queue.length)
    for (const fn of this.#idle.splice(0)) fn()
  }
}

/** The code of a group's failure, unless the group itself was refused. */
function failureOf(outcome: Outcome): string | undefined {
  if (!(outcome instanceof SseError) || outcome.code === 'ERR_SSE_IDEMPOTENCY_MISMATCH') return undefined
  return outcome.code
}
