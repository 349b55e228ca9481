import { describe, it } from 'vitest'
import { sqliteBroker } from '../../../src/broker/sqlite/index.ts'
import { brokerContract } from '../../../src/testing/broker-contract.ts'
import { temporaryFile } from './support.ts'

describe('the SQLite broker', () => {
  brokerContract((options) => sqliteBroker({ ...options, file: temporaryFile() }), { describe, it })
})
