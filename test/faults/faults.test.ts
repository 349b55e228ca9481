import { describe, expect, it } from 'vitest'
import { crashLoop, frozen, killed } from './nemesis/process.ts'
import { tryFaults } from './sqlite.ts'

// A short run of what `npm run test:faults` does at length.

describe('a hub on a SQLite file', () => {
  it('loses nothing, repeats nothing and reports no gap when it is killed and frozen', {
    timeout: 120_000,
  }, async () => {
    const faults = [killed, frozen, crashLoop]
    expect(await tryFaults(1, () => faults, { loadMs: 150 })).toBeGreaterThan(100)
  })
})
