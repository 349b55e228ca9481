import type { Loss, NewEvent, PageLimit, Selector } from '../../../../src/broker/broker.ts'
import { type HistoryOptions, resolveHistoryOptions } from '../../../../src/broker/retention.ts'
import { type Appended, packEvents } from '../../../../src/broker/sqlite/log/batch.ts'
import { type Driver, loadDriver } from '../../../../src/broker/sqlite/log/driver.ts'
import type { EventRow } from '../../../../src/broker/sqlite/log/page-rows.ts'
import { LogReader } from '../../../../src/broker/sqlite/log/reader.ts'
import { type Durability, openForReading } from '../../../../src/broker/sqlite/log/schema.ts'
import { LogWriter } from '../../../../src/broker/sqlite/log/writer.ts'
import type { Cursor } from '../../../../src/protocol/cursor.ts'
import { encodeFields } from '../../../../src/protocol/encode.ts'

export const ALL: PageLimit = { events: 100_000, bytes: 1_000_000_000 }

export interface LogOptions {
  readonly history?: HistoryOptions
  readonly epoch?: string
  readonly wallTime?: number
  readonly driver?: Driver
  readonly durability?: Durability
}

/** Both halves of a log, in this thread. */
export class Log {
  readonly writer: LogWriter
  readonly reader: LogReader
  readonly epoch: string

  private constructor(writer: LogWriter, reader: LogReader, epoch: string) {
    this.writer = writer
    this.reader = reader
    this.epoch = epoch
  }

  static async open(file: string, options: LogOptions = {}): Promise<Log> {
    const { epoch = 'aaaaaa', wallTime = 0, durability = 'normal' } = options
    const history = resolveHistoryOptions(options.history)
    const driver = options.driver ?? (await loadDriver())
    const writer = new LogWriter({ driver, file, durability, history, epoch }, wallTime)
    // Faults are only for the writer.
    return new Log(writer, new LogReader(openForReading(await loadDriver(), file), history), epoch)
  }

  /** Appends events as one group. */
  append(time: number, ...events: readonly (string | NewEvent)[]): Appended {
    const group = events.map((given) => (typeof given === 'string' ? event(given) : given))
    return this.writer.append(packEvents([group]), time, false)
  }

  /** Looks at every channel. */
  sweep(time: number): void {
    while (this.writer.sweep(time).sweepAgain);
  }

  read(after: number | Cursor, of: Selector, max: PageLimit = ALL, time: number = this.writer.time) {
    const cursor = typeof after === 'number' ? { epoch: this.epoch, seq: after } : after
    return this.reader.read(this.epoch, cursor, of, max, time)
  }

  /** What is after a position in names: each event, and each loss as `lost <channels> to <seq>`. */
  after(after: number | Cursor, of: Selector, time?: number): readonly string[] {
    return this.read(after, of, ALL, time).items.map(brief)
  }

  close(): void {
    this.reader.close()
    this.writer.close()
  }
}

function brief(item: EventRow | Loss): string {
  return 'channels' in item ? `lost ${[...item.channels].sort().join(' ')} to ${item.seq}` : item.data
}

/** An event for the channel that `name` begins with: `a1` is one for `a`, with `a1` as its data. */
export function event(name: string, given: Partial<Omit<NewEvent, 'fields' | 'bytes'>> = {}): NewEvent {
  const none = { event: undefined, json: false, conflationKey: undefined, idempotencyKey: undefined }
  const made = { channel: name.replace(/\d+$/, ''), data: name, ...none, ...given }
  const fields = encodeFields(undefined, made.data)
  return { ...made, fields, bytes: Buffer.byteLength(fields) }
}

/** The events `from` to `to` of a channel, as their names. */
export function names(channel: string, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `${channel}${from + i}`)
}

/** Appends in groups of a thousand. */
export function fill(log: Log, time: number, events: readonly string[]): void {
  for (let i = 0; i < events.length; i += 1_000) log.append(time, ...events.slice(i, i + 1_000))
}

/** The rows of events in a file, expired or not. */
export async function countRows(file: string): Promise<number> {
  const db = openForReading(await loadDriver(), file)
  const { rows } = db.prepare('SELECT count(*) AS rows FROM event').get() as { rows: number }
  db.close()
  return rows
}
