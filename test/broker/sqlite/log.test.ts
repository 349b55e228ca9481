import { statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadDriver } from '../../../src/broker/sqlite/driver.ts'
import { openForReading } from '../../../src/broker/sqlite/schema.ts'
import { selector } from '../support.ts'
import { ALL, event, Log } from './log.ts'
import { temporaryFile } from './support.ts'

const a = selector('a')
const LONG = { timeout: 60_000 }
const HOUR_MS = 3_600_000
const TEN_MINUTES_MS = 600_000

function names(channel: string, from: number, to: number): string[] {
  return Array.from({ length: to - from + 1 }, (_, i) => `${channel}${from + i}`)
}

/** Appends in groups of a thousand. */
function fill(log: Log, time: number, events: readonly string[]): void {
  for (let i = 0; i < events.length; i += 1_000) log.append(time, ...events.slice(i, i + 1_000))
}

async function countRows(file: string): Promise<number> {
  const db = openForReading(await loadDriver(), file)
  const { rows } = db.prepare('SELECT count(*) AS rows FROM event').get() as { rows: number }
  db.close()
  return rows
}

describe('the pointers from event to event', () => {
  it('lead to every position of a long channel, among others', LONG, async () => {
    const log = await Log.open(temporaryFile(), { history: { maxEvents: 100_000 } })
    const events = names('a', 1, 9_000).flatMap((name, i) => (i % 3 === 0 ? [name, `b${i}`] : [name]))
    fill(log, 0, events)
    const seqs = events.flatMap((name, i) => (name.startsWith('a') ? [i + 1] : []))
    const max = { events: 5, bytes: 1_000_000 }
    for (let n = 0; n < 9_000; n += n < 200 || n > 8_900 ? 1 : 61) {
      const { items } = log.read(n === 0 ? 0 : seqs[n - 1]!, a, max)
      expect(items.map((item) => (item as { data: string }).data)).toEqual(names('a', n + 1, Math.min(n + 5, 9_000)))
    }
    expect(log.after(0, a)).toEqual(names('a', 1, 9_000))
    expect(log.reader.latest(70, a, ALL, 0).items).toHaveLength(70)
    log.close()
  })

  it('end where retention does, whether or not the rows are gone', LONG, async () => {
    const file = temporaryFile()
    const log = await Log.open(file, { history: { maxEvents: 5_000 } })
    for (let i = 1; i <= 12_000; i += 100) {
      fill(log, 0, names('a', i, i + 99))
      const kept = Math.min(i + 99, 5_000)
      const first = i + 99 - kept
      const page = log.read(0, a, { events: 3, bytes: 1_000_000 })
      const lost = first === 0 ? [] : [{ channels: ['a'], seq: first }]
      expect(page.items).toMatchObject(
        [...lost, { seq: first + 1 }, { seq: first + 2 }, { seq: first + 3 }].slice(0, 3),
      )
      if (i % 1_000 === 1) expect(log.reader.latest(10_000, a, ALL, 0).items).toHaveLength(kept)
    }
    // A thousand more than are shown, and what the pass under way has not come to.
    expect(await countRows(file)).toBeLessThan(6_300)
    log.close()
  })
})

describe('retention', () => {
  it.each([
    ['by count', { maxEvents: 100 }, 1_000],
    ['by age', { maxEvents: 1_000_000, maxAgeMs: 50_000 }, 30_000],
    ['by bytes', { maxEvents: 1_000_000, maxBytes: 500_000 }, 1_000],
  ])('%s bounds the file', LONG, async (_, history, stepMs) => {
    const file = temporaryFile()
    const log = await Log.open(file, { history })
    const data = 'x'.repeat(500)
    const sizes: number[] = []
    for (let round = 0; round < 60; round++) {
      const time = round * stepMs
      log.writer.append(
        {
          groups: [1_000],
          values: names('a', 0, 999).flatMap((_, i) => [`a${i % 7}`, null, data, false, null, null, 510, null]),
        },
        time,
        false,
      )
      log.sweep(time)
      sizes.push(statSync(file).size + statSync(`${file}-wal`).size)
    }
    log.close()
    expect(Math.max(...sizes.slice(30))).toBeLessThanOrEqual(Math.max(...sizes.slice(0, 30)) * 1.1)
    // Closing moves everything into the file.
    expect(statSync(file).size).toBeLessThan(3_500_000)
    expect(await countRows(file)).toBeLessThan(4_000)
  })

  it('of a quiet log is enforced by sweeps alone, a part at a time', async () => {
    const file = temporaryFile()
    const log = await Log.open(file, { history: { maxEvents: 100_000, maxAgeMs: 1_000 } })
    fill(log, 0, names('a', 1, 9_000))
    expect(log.after(0, a, 1_001)).toEqual(['lost a to 9000'])
    const counts: number[] = []
    for (let more = true; more; counts.push(await countRows(file))) more = log.writer.sweep(1_001).more
    expect(counts).toEqual([7_000, 5_000, 3_000, 1_000, 0])
    expect(log.after(0, a, 1_001)).toEqual(['lost a to 9000'])
    log.close()
  })

  it('of a busy log is enforced with its commits', async () => {
    const file = temporaryFile()
    const log = await Log.open(file, { history: { maxEvents: 10_000, channels: { b: { maxEvents: 1 } } } })
    fill(log, 0, names('a', 1, 5_000))
    for (let i = 0; i < 40; i++) fill(log, 0, names('b', i * 500, i * 500 + 499))
    expect(await countRows(file)).toBeLessThan(5_000 + 3_000)
    expect(log.after(0, selector('a', 'b'))).toHaveLength(5_002)
    log.close()
  })

  it('of a new version of the options holds at once, and the rows go later', async () => {
    const file = temporaryFile()
    const before = await Log.open(file, { epoch: 'first1', history: { maxEvents: 10_000 } })
    fill(before, 0, names('a', 1, 8_000))
    before.close()
    const log = await Log.open(file, { epoch: 'second', history: { maxEvents: 3 } })
    expect(await countRows(file)).toBe(8_000)
    expect(log.after({ epoch: 'first1', seq: 0 }, a)).toEqual(['lost a to 7997', 'a7998', 'a7999', 'a8000'])
    log.sweep(0)
    expect(await countRows(file)).toBe(3)
    expect(log.after({ epoch: 'first1', seq: 7_998 }, a)).toEqual(['a7999', 'a8000'])
    log.close()
    const again = await Log.open(file, { epoch: 'third3', history: { maxEvents: 10_000 } })
    expect(again.after({ epoch: 'first1', seq: 0 }, a)).toEqual(['lost a to 7997', 'a7998', 'a7999', 'a8000'])
    again.close()
  })

  it('forgets a channel of many events in one step, and its rows later', async () => {
    const file = temporaryFile()
    const log = await Log.open(file, { history: { maxEvents: 10_000, maxChannels: 1 } })
    fill(log, 0, names('a', 1, 8_000))
    log.append(0, 'b1')
    expect(log.after(0, selector('a', 'b'))).toEqual(['lost a to 8000', 'b1'])
    expect(await countRows(file)).toBeGreaterThan(5_000)
    log.sweep(0)
    expect(await countRows(file)).toBe(1)
    // It comes back as another one.
    log.append(0, 'a8001')
    expect(log.after(0, a)).toEqual(['lost a to 8000', 'a8001'])
    log.close()
  })

  it('makes way for large events at once, though many small ones have to go', async () => {
    const file = temporaryFile()
    const log = await Log.open(file, { history: { maxEvents: 100_000, maxBytes: 400_000 } })
    fill(log, 0, names('a', 1, 20_000))
    for (let i = 0; i < 25; i++) log.append(0, event(`b${i}`, { data: 'x'.repeat(24_000) }))
    expect(log.after(0, selector('b')).length).toBeGreaterThan(14)
    expect(await countRows(file)).toBeLessThan(20)
    log.close()
  })
})

describe('idempotency keys', () => {
  const keyed = (key: string, data = 'a1') => event('a1', { idempotencyKey: key, data })

  it('are known to the next life of the log, for ten minutes of its time', async () => {
    const file = temporaryFile()
    const before = await Log.open(file, { epoch: 'first1', wallTime: 1_000 })
    before.append(1_000, keyed('k'))
    before.close()
    const log = await Log.open(file, { epoch: 'second', wallTime: 2_000 })
    expect(log.append(2_000, keyed('k')).special).toEqual({ refused: [], duplicates: [[0, 'first1', 1]] })
    expect(log.append(2_000, keyed('k', 'other')).special).toEqual({ refused: [[0, 'a']], duplicates: [] })
    const end = 1_000 + TEN_MINUTES_MS
    expect(log.append(end - 1, keyed('k')).special?.duplicates).toHaveLength(1)
    expect(log.append(end, keyed('k')).special).toBeUndefined()
    expect(log.append(end, keyed('k')).special?.duplicates).toEqual([[0, 'second', 2]])
    log.close()
  })

  it('are the last 100,000 at most, and the file does not keep more', LONG, async () => {
    const file = temporaryFile()
    const log = await Log.open(file, { history: { maxEvents: 0 } })
    for (let i = 0; i < 103_000; i += 1_000) log.append(0, ...names('', i, i + 999).map((name) => keyed(name)))
    expect(log.append(0, keyed('3000')).special?.duplicates).toEqual([[0, 'aaaaaa', 3_001]])
    expect(log.append(0, keyed('2999')).special).toBeUndefined()
    const db = openForReading(await loadDriver(), file)
    const count = () => db.prepare('SELECT count(*) AS n FROM idempotency').get()!['n'] as number
    expect(count()).toBeLessThan(102_001)
    log.sweep(TEN_MINUTES_MS)
    expect(count()).toBe(0)
    db.close()
    log.close()
  })
})

describe('the time of a log', () => {
  it('goes on from its last commit when the wall clock is behind, so nothing is too old for it', async () => {
    const file = temporaryFile()
    const start = 10 * HOUR_MS
    const before = await Log.open(file, { epoch: 'first1', wallTime: start })
    before.append(start + 1_000, 'a1')
    before.close()
    const behind = await Log.open(file, { epoch: 'second', wallTime: 0 })
    expect(behind.writer.time).toBe(start + 1_000)
    expect(behind.after({ epoch: 'first1', seq: 0 }, a)).toEqual(['a1'])
    behind.append(start + 2_000, 'a2')
    behind.close()
    const ahead = await Log.open(file, { epoch: 'third3', wallTime: start + HOUR_MS + 1_500 })
    expect(ahead.after({ epoch: 'first1', seq: 0 }, a)).toEqual(['lost a to 1', 'a2'])
    ahead.close()
  })
})

it('a page is a snapshot, and reads nothing of what is not committed', async () => {
  const log = await Log.open(temporaryFile())
  log.append(0, 'a1')
  log.reader.read('aaaaaa', { epoch: 'aaaaaa', seq: 0 }, a, ALL, 0)
  expect(() => log.reader.read('aaaaaa', { epoch: 'aaaaaa', seq: 0 }, undefined as never, ALL, 0)).toThrow(TypeError)
  // A read that failed leaves no transaction open, in which nothing new would be seen.
  log.append(0, 'a2')
  expect(log.after(0, a)).toEqual(['a1', 'a2'])
  log.close()
})
