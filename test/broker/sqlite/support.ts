import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type BrokerListener, isLoss, type NewEvent, type Receipt } from '../../../src/broker/broker.ts'
import { resolveSqliteOptions, type SqliteBrokerOptions } from '../../../src/broker/sqlite/options.ts'
import { SqliteLogBroker } from '../../../src/broker/sqlite/sqlite-broker.ts'
import { isSseError } from '../../../src/errors.ts'
import type { Cursor } from '../../../src/protocol/cursor.ts'
import type { Fault } from './log/faulty-driver.ts'
import { event } from './log/log.ts'

/** A new folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'express-sse-hub-sqlite-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The file of a new log. */
export function temporaryFile(): string {
  return join(temporaryFolder(), 'hub.db')
}

/** The calls of its listener, one line for each. */
export type Told = string

/** A broker whose threads run `worker`. It is closed after the test. */
export function brokerOf(worker: URL, options: SqliteBrokerOptions): SqliteLogBroker {
  const broker = new SqliteLogBroker({ ...resolveSqliteOptions(options), worker })
  onTestFinished(() => broker.close())
  return broker
}

/** A started broker, and the calls of its listener. */
export class Started {
  readonly broker: SqliteLogBroker
  readonly told: Told[] = []
  /** The position that was handed over. */
  top: Cursor = { epoch: '', seq: 0 }

  private constructor(broker: SqliteLogBroker) {
    this.broker = broker
  }

  static async open(worker: URL, options: SqliteBrokerOptions): Promise<Started> {
    const started = new Started(brokerOf(worker, options))
    started.top = await started.broker.start(started.#listener)
    return started
  }

  readonly #listener: BrokerListener = {
    events: (batch, top) => {
      this.top = top
      this.told.push(`${batch.map((item) => (isLoss(item) ? 'lost' : item.data)).join(' ')} to ${top.seq}`)
    },
    suspect: (top) => {
      this.told.push(`suspect from ${this.top.seq} to ${top.seq}`)
      this.top = top
    },
  }

  /** Publishes one group. Returns its receipts as `seq`, `seq again`, or the code of the error. */
  async publish(...events: readonly (string | NewEvent)[]): Promise<string> {
    const group = events.map((given) => (typeof given === 'string' ? event(given) : given))
    const [outcome] = await this.broker.publish([group]).catch((error) => {
      if (isSseError(error)) return [error]
      throw error
    })
    if (isSseError(outcome)) return outcome.code
    return (outcome as readonly Receipt[]).map(({ id, duplicate }) => `${id.seq}${duplicate ? ' again' : ''}`).join(' ')
  }
}

/** Sets the next faults of the faulty writer of a log, and the number of pages of its file. */
export function plan(file: string, faults: readonly Fault[], maxPages?: number): void {
  writeFileSync(`${file}-writer-faults`, JSON.stringify({ faults, maxPages }))
}

/** Sets the next faults of the faulty reader of a log. */
export function planReader(file: string, faults: readonly Fault[]): void {
  writeFileSync(`${file}-reader-faults`, JSON.stringify({ faults }))
}
