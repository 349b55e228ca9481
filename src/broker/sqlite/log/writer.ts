import { payloadDigest, scopedKey } from '../../idempotency.ts'
import { type Appended, type Batch, type Exceptions, type LogState, type PackedEvent, unpackEvent } from './batch.ts'
import type { Tables } from './tables.ts'
import { Transactions, type WriterSettings } from './transactions.ts'

/** The results of an append, before it is committed. */
interface Progress {
  readonly prevs: number[]
  readonly refused: [number, string][]
  readonly duplicates: [number, string, number][]
}

/** A group of a batch: its number, and its events from one index up to another. */
interface GroupPlace {
  readonly group: number
  readonly from: number
  readonly to: number
}

/**
 * The only writer of a log. Synchronous; every call is one transaction. `seq`, `prev` and time are assigned inside it, so
 * a call that fails leaves nothing that a later event could refer to.
 */
export class LogWriter {
  readonly #transactions: Transactions
  readonly #epoch: string

  /** Opens the log, or creates it. Its time continues from `wallTime`, or from its last commit if that was later. */
  constructor(settings: WriterSettings, wallTime: number) {
    this.#transactions = new Transactions(settings)
    this.#epoch = settings.epoch
    this.#transactions.run(wallTime, (tables) => {
      tables.time = Math.max(tables.time, wallTime)
      // The options may have changed since the log was last open.
      tables.entries.adopt()
      if (tables.channels.retain()) tables.trimmer.retentionChanged()
    })
  }

  /** The end of the log. */
  get seq(): number {
    return this.#transactions.state.seq
  }

  /** The time of its last commit. */
  get time(): number {
    return this.#transactions.state.time
  }

  /** The exceptions of its last append. */
  get exceptions(): Exceptions | undefined {
    return this.#transactions.state.exceptions
  }

  /** Appends a batch, group by group. With `sweep` it also deletes some expired rows. */
  append(batch: Batch, time: number, sweep: boolean): Appended {
    return this.#transactions.run(time, (tables, endBefore) => {
      const { prevs, refused, duplicates } = this.#appendGroups(tables, batch, time)
      const exceptions = refused.length + duplicates.length === 0 ? undefined : { refused, duplicates }
      let sweepAgain = false
      if (prevs.length > 0) {
        tables.epochs.remember(endBefore)
        tables.exceptions = exceptions
        tables.channels.flush(time)
        sweepAgain = tables.trimmer.trim(prevs.length, time)
      }
      if (sweep) sweepAgain = tables.sweep(time) || sweepAgain
      return { endBefore, sweepAgain, prevs, exceptions }
    })
  }

  /** Makes the log remember this epoch. */
  rememberEpoch(time: number): LogState {
    return this.#transactions.run(time, ({ epochs }, endBefore) => {
      epochs.remember(endBefore)
      return { endBefore, sweepAgain: false }
    })
  }

  /** Deletes some expired rows. */
  sweep(time: number): LogState {
    return this.#transactions.run(time, (tables, endBefore) => ({ endBefore, sweepAgain: tables.sweep(time) }))
  }

  close(): void {
    this.#transactions.close()
  }

  #appendGroups(tables: Tables, batch: Batch, time: number): Progress {
    const progress: Progress = { prevs: [], refused: [], duplicates: [] }
    let index = 0
    for (const [group, size] of batch.groups.entries()) {
      this.#appendGroup(tables, batch, { group, from: index, to: index + size }, time, progress)
      index += size
    }
    return progress
  }

  /** Appends a group, all or nothing: it is refused before any of its events is appended. */
  #appendGroup(tables: Tables, batch: Batch, { group, from, to }: GroupPlace, time: number, progress: Progress): void {
    const { keys } = tables
    const digests = new Map<string, string>()
    const events: PackedEvent[] = []
    for (let i = from; i < to; i++) {
      const event = unpackEvent(batch, i)
      events.push(event)
      if (event.idempotencyKey === undefined) continue
      const key = scopedKey(event)
      const digest = payloadDigest(event)
      const known = digests.get(key) ?? keys.find(key, time)?.digest
      if (known !== undefined && known !== digest) {
        progress.refused.push([group, event.channel])
        return
      }
      digests.set(key, digest)
    }
    for (const [i, event] of events.entries()) {
      const key = event.idempotencyKey === undefined ? undefined : scopedKey(event)
      const known = key === undefined ? undefined : keys.find(key, time)
      if (known !== undefined) {
        progress.duplicates.push([from + i, known.id.epoch, known.id.seq])
        continue
      }
      progress.prevs.push(tables.append(event, time))
      if (key !== undefined) keys.add(key, digests.get(key)!, { epoch: this.#epoch, seq: tables.seq }, time)
    }
  }
}
