import { describe, expect, it } from 'vitest'
import { selector } from '../../support.ts'
import { temporaryFile } from '../support.ts'
import { ALL, countRows, fill, Log, names } from './log.ts'

const a = selector('a')
const LONG = { timeout: 60_000 }

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
    // A thousand more than are visible, and the rows that the pass in progress has not reached.
    expect(await countRows(file)).toBeLessThan(6_300)
    log.close()
  })
})
