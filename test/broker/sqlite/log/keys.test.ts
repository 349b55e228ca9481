import { describe, expect, it } from 'vitest'
import { loadDriver } from '../../../../src/broker/sqlite/log/driver.ts'
import { openForReading } from '../../../../src/broker/sqlite/log/schema.ts'
import { temporaryFile } from '../support.ts'
import { event, Log, names } from './log.ts'

const LONG = { timeout: 60_000 }
const TEN_MINUTES_MS = 600_000

describe('idempotency keys', () => {
  const keyed = (key: string, data = 'a1') => event('a1', { idempotencyKey: key, data })

  it('are known to the next life of the log, for ten minutes of its time', async () => {
    const file = temporaryFile()
    const before = await Log.open(file, { epoch: 'first1', wallTime: 1_000 })
    before.append(1_000, keyed('k'))
    before.close()
    const log = await Log.open(file, { epoch: 'second', wallTime: 2_000 })
    expect(log.append(2_000, keyed('k')).exceptions).toEqual({ refused: [], duplicates: [[0, 'first1', 1]] })
    expect(log.append(2_000, keyed('k', 'other')).exceptions).toEqual({ refused: [[0, 'a']], duplicates: [] })
    const end = 1_000 + TEN_MINUTES_MS
    expect(log.append(end - 1, keyed('k')).exceptions?.duplicates).toHaveLength(1)
    expect(log.append(end, keyed('k')).exceptions).toBeUndefined()
    expect(log.append(end, keyed('k')).exceptions?.duplicates).toEqual([[0, 'second', 2]])
    log.close()
  })

  it('are the last 100,000 at most, and the file does not keep more', LONG, async () => {
    const file = temporaryFile()
    const log = await Log.open(file, { history: { maxEvents: 0 } })
    for (let i = 0; i < 103_000; i += 1_000) log.append(0, ...names('', i, i + 999).map((name) => keyed(name)))
    expect(log.append(0, keyed('3000')).exceptions?.duplicates).toEqual([[0, 'aaaaaa', 3_001]])
    expect(log.append(0, keyed('2999')).exceptions).toBeUndefined()
    const db = openForReading(await loadDriver(), file)
    const count = () => db.prepare('SELECT count(*) AS n FROM idempotency').get()!['n'] as number
    expect(count()).toBeLessThan(102_001)
    log.sweep(TEN_MINUTES_MS)
    expect(count()).toBe(0)
    db.close()
    log.close()
  })
})
