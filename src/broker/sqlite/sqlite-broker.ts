import { resolve } from 'node:path'
import { SseError } from '../../errors.ts'
import { type Cursor, newEpoch } from '../../protocol/cursor.ts'
import { encodeFields } from '../../protocol/encode.ts'
import type { EventType } from '../../protocol/fields.ts'
import { encodedLength } from '../../protocol/frame.ts'
import type { Broker, BrokerListener, Group, Outcome, Page, PageLimit, Selector } from '../broker.ts'
import { StoredEvent } from '../stored-event.ts'
import { claimFile, describeFiles } from './claim.ts'
import { Commits, type CommitsHost } from './commits.ts'
import { unavailable } from './log/failure.ts'
import type { EventRow, Names, PageRows } from './log/page-rows.ts'
import type { SqliteBrokerSettings } from './options.ts'
import type { ReaderRequest } from './thread/protocol.ts'
import { findWorker, Thread } from './thread/thread.ts'

/** A broker whose log is a SQLite file. */
export interface SqliteBroker extends Broker {
  /**
   * Writes a copy of the log, as it is at a moment of this call, into a new file, while publishes and reads continue.
   * Use it to copy a log in use: its file alone lacks the events in the write-ahead log. Resolves when the copy is on
   * disk. Rejects with ERR_SSE_BROKER_UNAVAILABLE, and leaves nothing behind, if the copy cannot be written or already
   * exists.
   */
  backup(file: string): Promise<void>
}

/** The part of the broker in the hub's thread. Two other threads do the work: one writes, one reads. */
export class SqliteLogBroker implements SqliteBroker {
  readonly isEphemeral: (channel: string) => boolean
  readonly #settings: SqliteBrokerSettings
  /** The name of this life of the log. Each opening is a new life, because the file may be an older copy of itself. */
  readonly #epoch = newEpoch()
  /** The end of the log when it was opened. */
  #epochStart = 0
  readonly #commits: Commits
  #reader: Thread<ReaderRequest> | undefined
  #listener: BrokerListener | undefined
  #starting: Promise<Cursor> | undefined
  #closing: Promise<void> | undefined
  /** Releases the claim on the file. */
  #release: (() => void) | undefined
  /** The time of the log minus that of the monotonic clock: a stepped wall clock ages nothing. */
  #timeOffset = 0

  constructor(settings: SqliteBrokerSettings) {
    this.#settings = settings
    this.isEphemeral = settings.history.isEphemeral
    const { clock, data } = settings
    const host: CommitsHost = {
      epoch: this.#epoch,
      clock,
      time: () => this.#time(),
      opened: (time) => {
        this.#timeOffset = Math.max(this.#timeOffset, time - clock.monotonic())
      },
      committed: (events, seq) => this.#listener?.events(events, this.#cursor(seq)),
      moved: (seq) => this.#listener?.suspect(this.#cursor(seq)),
    }
    this.#commits = new Commits(host, (onDeath) => new Thread(this.#worker(), { ...data, role: 'writer' }, onDeath))
  }

  async start(listener: BrokerListener): Promise<Cursor> {
    this.#assertOpen()
    if (this.#starting !== undefined)
      throw new TypeError('A broker serves one hub: make another broker for another hub.')
    this.#starting = this.#start(listener)
    return this.#starting
  }

  async #start(listener: BrokerListener): Promise<Cursor> {
    const { file } = this.#settings.data
    let reader: Thread<ReaderRequest> | undefined
    try {
      this.#release = await claimFile(file)
      // It starts at once, and opens the file that the writer has made.
      reader = this.#startReader()
      const end = await this.#commits.open()
      await reader.ask({ do: 'open' })
      this.#listener = listener
      this.#epochStart = end
      return this.#cursor(end)
    } catch (error) {
      await Promise.all([this.#commits.close(), reader?.end()])
      this.#release?.()
      // The detail names the problem, and the cause names the path, which is only for the operator.
      const { message } = unavailable(error)
      const cause = new Error(`${describeFiles(file)}: ${message}`, { cause: error })
      throw new SseError('ERR_SSE_BROKER_UNAVAILABLE', message, { cause })
    }
  }

  async publish(groups: readonly Group[]): Promise<readonly Outcome[]> {
    this.#assertStarted()
    return this.#commits.publish(groups)
  }

  async subscribe(): Promise<void> {
    this.#assertOpen()
  }

  unsubscribe(): void {}

  async read(after: Cursor | undefined, selector: Selector, max: PageLimit): Promise<Page> {
    const names = namesOf(selector)
    return this.#read({ do: 'read', epoch: this.#epoch, after, selector: names, max, time: this.#time() })
  }

  async latest(count: number, selector: Selector, max: PageLimit): Promise<Page> {
    return this.#read({ do: 'latest', count, selector: namesOf(selector), max, time: this.#time() })
  }

  async backup(file: string): Promise<void> {
    this.#assertStarted()
    if (typeof file !== 'string' || file === '') throw new TypeError('backup() must be given the path of a new file.')
    await this.#starting
    // In a separate thread: the copy of a large log takes long.
    const thread = this.#newReader()
    try {
      await thread.ask({ do: 'backup', to: resolve(file) })
    } catch (error) {
      throw unavailable(error)
    } finally {
      await thread.end()
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    await this.#starting?.catch(() => {})
    if (this.#starting !== undefined) await this.#commits.close()
    this.#listener = undefined
    await this.#reader?.end()
    this.#release?.()
  }

  async #read(request: Extract<ReaderRequest, { time: number }>): Promise<Page> {
    this.#assertStarted()
    // A position that is given out must be known after a restart.
    await this.#commits.rememberEpoch()
    this.#assertOpen()
    const reader = this.#reader?.isDead === false ? this.#reader : this.#startReader()
    try {
      return this.#page(await reader.ask<PageRows>(request))
    } catch (error) {
      throw unavailable(error)
    }
  }

  #page({ status, from, items, upto, end }: PageRows): Page {
    return {
      status,
      from: this.#cursor(from),
      items: items.map((item) => ('channels' in item ? item : this.#stored(item))),
      upto: this.#cursor(upto),
      end,
      epochStart: this.#epochStart,
    }
  }

  /** An event from the file. Its idempotency key is not read, because only the writer needs it. */
  #stored(row: EventRow): StoredEvent {
    const { channel, seq, prev, data, json } = row
    // It was checked when it was published.
    const type = (row.type ?? undefined) as EventType | undefined
    const fields = encodeFields(type, data)
    const event = { channel, event: type, data, json, fields, bytes: encodedLength(fields) }
    const keys = { conflationKey: row.key ?? undefined, idempotencyKey: undefined }
    return new StoredEvent({ ...event, ...keys }, this.#epoch, seq, prev)
  }

  #startReader(): Thread<ReaderRequest> {
    this.#reader = this.#newReader()
    return this.#reader
  }

  #newReader(): Thread<ReaderRequest> {
    return new Thread(this.#worker(), { ...this.#settings.data, role: 'reader' })
  }

  #worker(): URL {
    return this.#settings.worker ?? findWorker()
  }

  #time(): number {
    return Math.floor(this.#settings.clock.monotonic() + this.#timeOffset)
  }

  #cursor(seq: number): Cursor {
    return { epoch: this.#epoch, seq }
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'The broker is closed.')
  }

  #assertStarted(): void {
    this.#assertOpen()
    if (this.#starting === undefined) throw new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'The broker was not started.')
  }
}

function namesOf({ channels, patterns }: Selector): Names {
  return { channels, patterns }
}
