import { describe, expect, it } from 'vitest'
import { REDIS_MISSING } from '../support/redis-server.ts'
import { tryFleet } from './fleet.ts'
import { clientsKilled, cut, killedWithFile, nodeKilled, scriptsFlushed } from './nemesis/redis.ts'

// A short run of what `npm run test:faults` does at length.

describe.skipIf(REDIS_MISSING)('a fleet on one Redis', () => {
  it('loses nothing, repeats nothing and reports no gap when connections, a node and the server go', {
    timeout: 120_000,
  }, async () => {
    const faults = [clientsKilled, cut, killedWithFile, nodeKilled, scriptsFlushed]
    expect(await tryFleet({ seed: 1, faults, nodes: 2, loadMs: 150 })).toBeGreaterThan(50)
  })
})
