import { describe, it } from 'vitest'
import { redisBroker } from '../../../src/broker/redis/index.ts'
import { brokerContract } from '../../../src/testing/broker-contract.ts'
import { REDIS_MISSING } from '../../support/redis-server.ts'
import { CLIENTS, newPrefix, serverOfFile } from './support.ts'

describe.skipIf(REDIS_MISSING).each(Object.entries(CLIENTS))('the Redis broker with %s', (_, client) => {
  const on = serverOfFile()
  brokerContract(
    (options) => redisBroker({ ...options, client: client(on.url), prefix: newPrefix() }),
    { describe, it },
    { entryLimits: false },
  )
})
