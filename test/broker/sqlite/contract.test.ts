import { describe, it } from 'vitest'
import { sqliteBroker } from '../../../src/broker/sqlite/index.ts'
import { resolveSqliteOptions } from '../../../src/broker/sqlite/options.ts'
import { SqliteLogBroker } from '../../../src/broker/sqlite/sqlite-broker.ts'
import { brokerContract } from '../../../src/testing/broker-contract.ts'
import { temporaryFile } from './support.ts'
import { WORKER_BUILT } from './thread/built-workers.ts'

// With the driver that this Node has; to see the other one, run this file with Node 22.13 or newer, or with 20.
describe('the SQLite broker', () => {
  brokerContract(
    (options) =>
      new SqliteLogBroker({ ...resolveSqliteOptions({ ...options, file: temporaryFile() }), worker: WORKER_BUILT }),
    { describe, it },
  )
})

it('runs from its sources as well', async () => {
  const broker = sqliteBroker({ file: temporaryFile() })
  await broker.start({ events: () => {}, suspect: () => {} })
  await broker.close()
})
