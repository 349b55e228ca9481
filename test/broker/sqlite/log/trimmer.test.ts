import { statSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { selector } from '../../support.ts'
import { temporaryFile } from '../support.ts'
import { countRows, event, fill, Log, names } from './log.ts'

const a = selector('a')
const LONG = { timeout: 60_000 }

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
    for (let more = true; more; counts.push(await countRows(file))) more = log.writer.sweep(1_001).sweepAgain
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
    // It returns as a new channel.
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
