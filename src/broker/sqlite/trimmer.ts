import type { ResolvedHistoryOptions, Retention } from '../retention.ts'
import type { ChannelState, Channels } from './channels.ts'
import type { Connection } from './driver.ts'
import type { Keys } from './keys.ts'

/** Rows that one transaction deletes at most, so that no commit waits long for one. */
const MAX_ROWS = 2_000
/** The same while the log is more than a tenth over its bytes: many small events make way for a few large ones. */
const MAX_ROWS_IN_NEED = 20_000
/** Channels that one transaction looks at. */
const MAX_CHANNELS = 250
/** How many rows more than it shows a channel may have, as a part of those and at most. They go in bulk. */
const SLACK = 0.1
const MAX_SLACK = 1_000

/**
 * Deletes what retention does not keep. A reader goes by the same limits and never sees what is still to be deleted, but
 * for bytes: those count by rows, and what exceeds them is deleted with the commit that brings it.
 */
export class Trimmer {
  readonly #options: ResolvedHistoryOptions
  readonly #channels: Channels
  readonly #keys: Keys
  readonly #statements: ReturnType<typeof prepare>
  /** Of all rows of events. */
  bytes = 0
  /** Rows that may still be deleted in this transaction. */
  #budget = 0
  /** Channels with a few rows too many. */
  readonly #loose = new Set<ChannelState>()
  /** The channel that a sweep has come to; 0 = none is under way. */
  #sweptTo = 0

  constructor(db: Connection, options: ResolvedHistoryOptions, channels: Channels, keys: Keys) {
    this.#options = options
    this.#channels = channels
    this.#keys = keys
    this.#statements = prepare(db)
  }

  reload(bytes: number): void {
    this.bytes = bytes
    this.#loose.clear()
  }

  /** After an append to these channels. Whether more is to be deleted than one transaction may. */
  trim(touched: readonly ChannelState[], time: number): boolean {
    this.#budget = this.bytes > this.#options.maxBytes * (1 + SLACK) ? MAX_ROWS_IN_NEED : MAX_ROWS
    for (const channel of touched) {
      const { maxEvents } = channel.retention
      const excess = channel.n - channel.low + 1 - maxEvents
      if (excess > Math.min(MAX_SLACK, Math.floor(maxEvents * SLACK))) this.#trimChannel(channel, time)
      else if (excess > 0) this.#loose.add(channel)
    }
    const crowded = this.#channels.forgetExcess(MAX_ROWS)
    return this.#trimBytes(time) || crowded
  }

  /** Looks at some of the channels, whoever publishes. Whether there are more. */
  sweep(time: number): boolean {
    this.#budget = MAX_ROWS
    const rows = this.#statements.channels.all(this.#sweptTo, MAX_CHANNELS) as unknown as Swept[]
    for (const { id, name, n } of rows) {
      const limits = limitsOf(this.#options.retentionOf(name), n, time)
      while (this.#drop(id, limits)) if (this.#budget <= 0) return true
      this.#sweptTo = id
    }
    if (rows.length === MAX_CHANNELS) return true
    this.#sweptTo = 0
    if (this.#dropForgotten()) return true
    const crowded = this.#channels.forgetExcess(MAX_ROWS)
    const quiet = this.#channels.forgetQuiet(time, MAX_CHANNELS)
    const old = this.#keys.dropOld(time, MAX_ROWS)
    return this.#trimBytes(time) || crowded || quiet || old
  }

  /** Deletes the rows of a channel that nobody sees any more. */
  #trimChannel(channel: ChannelState, time: number): void {
    if (this.#budget <= 0) return
    const { id, n, retention } = channel
    const last = this.#drop(id, limitsOf(retention, n, time))
    // Where none was left to delete, others went with the oldest of the whole log.
    channel.low = last === undefined ? Math.max(channel.low, n - retention.maxEvents + 1) : last + 1
    if (n - channel.low < retention.maxEvents) this.#loose.delete(channel)
  }

  /** Deletes rows at the beginning of a channel, within the budget. Gives the number of the last of them. */
  #drop(id: number, { n, at }: Limits): number | undefined {
    const found = this.#statements.unseen.get(id, this.#budget, n, at)
    const { rows, seq, last, bytes } = found as { rows: number; seq: number; last: number; bytes: number }
    if (rows === 0) return undefined
    this.#statements.dropOf.run(id, seq)
    this.#budget -= rows
    this.bytes -= bytes
    return last
  }

  /** Too many bytes: first what nobody sees any more, then the oldest of the log. Whether there still are. */
  #trimBytes(time: number): boolean {
    const { maxBytes } = this.#options
    if (this.bytes > maxBytes) for (const channel of this.#loose) this.#trimChannel(channel, time)
    for (let chunk = 50; this.bytes > maxBytes && this.#budget > 0; chunk = Math.min(chunk * 4, this.#budget)) {
      const oldest = this.#statements.oldest.all(chunk) as unknown as { seq: number; bytes: number }[]
      let dropped = 0
      while (this.bytes > maxBytes && dropped < oldest.length) this.bytes -= oldest[dropped++]!.bytes
      this.#budget -= dropped
      this.#statements.dropOldest.run(oldest[dropped - 1]!.seq)
    }
    return this.bytes > maxBytes
  }

  /** Deletes the rows of channels that were forgotten. Whether there are more. */
  #dropForgotten(): boolean {
    for (;;) {
      const forgotten = this.#statements.forgotten.get() as { id: number } | undefined
      if (forgotten === undefined) return false
      while (this.#drop(forgotten.id, EVERYTHING)) if (this.#budget <= 0) return true
      this.#statements.unbury.run(forgotten.id)
    }
  }
}

interface Swept {
  readonly id: number
  readonly name: string
  readonly n: number
}

/** Of a channel nobody sees the events up to this number, and those from before this time. */
export interface Limits {
  readonly n: number
  readonly at: number
}

const EVERYTHING: Limits = { n: Number.MAX_SAFE_INTEGER, at: 0 }

/** What the retention of a channel with `n` kept events hides at a time. */
export function limitsOf({ maxEvents, maxAgeMs }: Retention, n: number, time: number): Limits {
  return { n: n - maxEvents, at: Number.isFinite(maxAgeMs) ? time - maxAgeMs : 0 }
}

function prepare(db: Connection) {
  return {
    channels: db.prepare('SELECT id, name, n FROM channel WHERE id > ? ORDER BY id LIMIT ?'),
    unseen: db.prepare(`SELECT count(*) AS rows, max(seq) AS seq, max(n) AS last, sum(bytes) AS bytes
      FROM (SELECT seq, n, at, bytes FROM event WHERE channel = ? ORDER BY seq LIMIT ?) WHERE n <= ? OR at < ?`),
    dropOf: db.prepare('DELETE FROM event WHERE channel = ? AND seq <= ?'),
    oldest: db.prepare('SELECT seq, bytes FROM event ORDER BY seq LIMIT ?'),
    dropOldest: db.prepare('DELETE FROM event WHERE seq <= ?'),
    forgotten: db.prepare('SELECT id FROM forgotten LIMIT 1'),
    unbury: db.prepare('DELETE FROM forgotten WHERE id = ?'),
  }
}
