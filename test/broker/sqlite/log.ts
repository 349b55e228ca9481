import type { Loss, NewEvent, PageLimit, Selector } from '../../../src/broker/broker.ts'
import { type HistoryOptions, resolveHistoryOptions } from '../../../src/broker/retention.ts'
import { type Driver, loadDriver } from '../../../src/broker/sqlite/driver.ts'
import { type Appended, type EventRow, packEvents } from '../../../src/broker/sqlite/messages.ts'
import { LogReader } from '../../../src/broker/sqlite/reader.ts'
import { type Durability, openForReading } from '../../../src/broker/sqlite/schema.ts'
import { LogWriter } from '../../../src/broker/sqlite/writer.ts'
import type { Cursor } from '../../../src/protocol/cursor.ts'
import { encodeFields } from '../../../src/protocol/encode.ts'

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
    // Faults are for the one who writes.
    return new Log(writer, new LogReader(openForReading(await loadDriver(), file), history), epoch)
  }

  /** Appends events as one group. */
  append(time: number, ...events: readonly (string | NewEvent)[]): Appended {
    const group = events.map((given) => (typeof given === 'string' ? event(given) : given))
    return this.writer.append(packEvents([group]), time, false)
  }

  /** Looks at every channel. */
  sweep(time: number): void {
    while (this.writer.sweep(time).more);
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
