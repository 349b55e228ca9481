import { SseError } from '../../errors.ts'
import type { Group, Outcome } from '../broker.ts'
import { type Batch, packEvents } from './log/batch.ts'

/** The maximum of one commit, except for a single larger call. */
const MAX_EVENTS = 1_000
const MAX_BYTES = 1_048_576
/** The maximum that may wait for a slow disk, in bytes of encoded text. */
export const MAX_WAITING_BYTES = 67_108_864

/** One call of `publish`. */
export interface Call {
  readonly groups: readonly Group[]
  readonly batch: Batch
  readonly events: number
  readonly bytes: number
  resolve(outcomes: readonly Outcome[]): void
  reject(error: unknown): void
}

/** The calls that wait for a commit, in order. */
export class CommitQueue {
  #calls: Call[] = []
  #bytes = 0

  get isEmpty(): boolean {
    return this.#calls.length === 0
  }

  /** Adds a call, and resolves with its outcomes. Rejects at once if too many bytes wait. */
  add(groups: readonly Group[]): Promise<readonly Outcome[]> {
    const batch = packEvents(groups)
    const bytes = groups.reduce((sum, group) => sum + group.reduce((sum, { bytes }) => sum + bytes, 0), 0)
    if (this.#bytes + bytes > MAX_WAITING_BYTES && this.#calls.length > 0) {
      const detail = 'The disk of the log is too slow: too many events wait for it.'
      return Promise.reject(new SseError('ERR_SSE_BROKER_UNAVAILABLE', detail))
    }
    return new Promise((resolve, reject) => {
      const events = groups.reduce((sum, group) => sum + group.length, 0)
      this.#calls.push({ groups, batch, events, bytes, resolve, reject })
      this.#bytes += bytes
    })
  }

  /** Takes the calls of the next commit. */
  take(): readonly Call[] {
    let events = 0
    let bytes = 0
    let count = 0
    for (const call of this.#calls) {
      events += call.events
      bytes += call.bytes
      if (count > 0 && (events > MAX_EVENTS || bytes > MAX_BYTES)) break
      count++
      this.#bytes -= call.bytes
    }
    const taken = this.#calls.slice(0, count)
    this.#calls = this.#calls.slice(count)
    return taken
  }

  rejectAll(error: unknown): void {
    reject(this.#calls, error)
    this.#calls = []
    this.#bytes = 0
  }
}

/** Gives each call its part of the outcomes of a commit. */
export function settle(calls: readonly Call[], outcomes: readonly Outcome[]): void {
  let from = 0
  for (const { groups, resolve } of calls) {
    resolve(outcomes.slice(from, from + groups.length))
    from += groups.length
  }
}

export function reject(calls: readonly Call[], error: unknown): void {
  for (const call of calls) call.reject(error)
}
