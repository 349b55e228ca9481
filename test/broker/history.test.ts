import { describe, expect, it, vi } from 'vitest'
import { isLoss } from '../../src/broker/broker.ts'
import { History } from '../../src/broker/history.ts'
import { mergePage } from '../../src/broker/merge.ts'
import { type HistoryOptions, resolveHistoryOptions } from '../../src/broker/retention.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { selector, stored } from './support.ts'

vi.mock('../../src/broker/merge.ts', { spy: true })

const ALL = { events: 1_000_000, bytes: 1_000_000_000 }
const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

/** A history and its events: event n has seq n. */
function keep(options: HistoryOptions = {}) {
  const clock = manualClock()
  const history = new History(resolveHistoryOptions(options), clock, {
    event: ({ bytes }) => bytes,
    channel: 0,
  })
  let end = 0
  return {
    clock,
    history,
    append(channel: string, bytes = 10): void {
      end++
      history.append(stored(end, channel, { prev: history.lastOf(channel), bytes }))
    },
    /** Events by their seq; a loss as `a<3`. */
    read(after: number, ...names: string[]): readonly (number | string)[] {
      const { items } = history.read(after, end, selector(...names), ALL)
      return items.map((item) => (isLoss(item) ? `${item.channels.join()}<${item.seq}` : item.seq))
    },
  }
}

describe('bytes', () => {
  it('are limited over all channels and retentions, and the oldest events go first', () => {
    const { append, read } = keep({ maxBytes: 1_000, channels: { 'p.*': { maxEvents: 500 }, q: { maxAgeMs: 0 } } })
    for (const channel of ['p.x', 'q', 'a', 'p.x', 'q', 'a']) append(channel, 60)
    for (let i = 0; i < 10; i++) append('b', 60)
    expect(read(0, '>')).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16])
    append('b', 60)
    expect(read(0, 'p.x', 'q')).toEqual(['p.x<1', 2, 4, 5])
    append('b', 60)
    append('b', 60)
    expect(read(0, '>')).toEqual(['p.x<1', 'q<2', 'a<3', 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
  })

  it('that exactly fit are kept', () => {
    const { append, read } = keep({ maxBytes: 1_600 })
    for (let i = 0; i < 16; i++) append('a', 100)
    expect(read(0, 'a')).toHaveLength(16)
    append('b', 10)
    expect(read(0, 'a').slice(0, 2)).toEqual(['a<1', 2])
  })

  it('of one event are a sixteenth at most: a larger one is not kept and evicts nothing', () => {
    const { append, read } = keep({ maxBytes: 1_600 })
    append('a', 100)
    append('a', 101)
    append('b', 1_000_000)
    append('a', 100)
    expect(read(0, 'a', 'b')).toEqual([1, 'a<2', 'b<3', 4])
  })

  it('may be none', () => {
    const { append, read } = keep({ maxBytes: 0 })
    append('a')
    append('b')
    append('a')
    expect(read(0, 'a', 'b')).toEqual(['b<2', 'a<3'])
    expect(read(2, 'a', 'b')).toEqual(['a<3'])
  })

  it('are freed by every way in which an event goes', () => {
    const { append, read, clock } = keep({
      maxBytes: 1_600,
      maxChannels: 3,
      channels: { one: { maxEvents: 1 }, brief: { maxAgeMs: 1_000 }, never: { maxEvents: 0 } },
    })
    // Each of these would fill the history alone if deleted events were still counted.
    for (let i = 0; i < 50; i++) append('one', 100)
    for (let i = 0; i < 50; i++) append('never', 100)
    for (let i = 0; i < 50; i++) {
      append('brief', 100)
      clock.advance(2_000)
    }
    for (let i = 0; i < 50; i++) append(`c${i}`, 100)
    for (let i = 0; i < 16; i++) append('last', 100)
    expect(read(200, 'last')).toHaveLength(16)
    append('last', 10)
    expect(read(200, 'last').slice(0, 2)).toEqual(['last<201', 202])
  })
})

describe('age', () => {
  it('is that of the retention of the channel, to the millisecond', () => {
    const { append, read, clock } = keep({
      maxAgeMs: 1_000,
      channels: { 'long.*': { maxAgeMs: 5_000 }, ever: { maxAgeMs: 0 } },
    })
    for (const channel of ['a', 'long.x', 'ever', 'b']) append(channel)
    clock.advance(1_000)
    expect(read(0, '>')).toEqual([1, 2, 3, 4])
    clock.advance(1)
    expect(read(0, '>')).toEqual(['a<1', 2, 3, 'b<4'])
    clock.advance(4_000)
    expect(read(0, '>')).toEqual(['a<1', 'long.x<2', 3, 'b<4'])
    clock.advance(100 * HOUR_MS)
    expect(read(0, 'ever')).toEqual([3])
  })

  it('of a channel is that of the pattern that comes first, unless its name is there', () => {
    const channels = { 'p.*': { maxAgeMs: 1_000 }, 'p.>': { maxAgeMs: 2_000 }, 'p.x': { maxAgeMs: 3_000 } }
    const { append, read, clock } = keep({ channels })
    for (const channel of ['p.x', 'p.y', 'p.y.z', 'q']) append(channel)
    clock.advance(1_500)
    expect(read(0, '>')).toEqual([1, 'p.y<2', 3, 4])
    clock.advance(1_000)
    expect(read(0, '>')).toEqual([1, 'p.y<2', 'p.y.z<3', 4])
    clock.advance(1_000)
    expect(read(0, '>')).toEqual(['p.x<1', 'p.y<2', 'p.y.z<3', 4])
  })
})

describe('the sweep', () => {
  it('runs while anything is known, and not after', () => {
    const { append, clock } = keep({ maxAgeMs: 1_000 })
    expect(clock.pendingTimers).toBe(0)
    append('a')
    append('b')
    expect(clock.pendingTimers).toBe(1)
    clock.advance(HOUR_MS - MINUTE_MS)
    expect(clock.pendingTimers).toBe(1)
    clock.advance(3 * MINUTE_MS)
    expect(clock.pendingTimers).toBe(0)
    append('a')
    expect(clock.pendingTimers).toBe(1)
  })

  it('deletes expired events without a read', () => {
    const { append, clock, history } = keep({ maxAgeMs: 1_000, maxChannels: 10 })
    append('a')
    clock.advance(2 * HOUR_MS)
    // Nothing but the sweep has looked since: the channel is forgotten, so the next event follows the floor.
    expect(history.lastOf('a')).toBe(1)
    expect(history.lastOf('never')).toBe(1)
  })

  it('ends with the history', () => {
    const { append, clock, history } = keep()
    append('a')
    history.close()
    expect(clock.pendingTimers).toBe(0)
    history.close()
    keep().history.close()
  })
})

describe('names', () => {
  it('are forgotten beyond maxChannels, the one with the oldest last event first, with its events', () => {
    const { append, read, history } = keep({ maxChannels: 3 })
    for (const channel of ['a', 'b', 'c', 'a', 'd']) append(channel)
    expect(read(0, 'a', 'b', 'c', 'd')).toEqual([1, 'b<2', 3, 4, 5])
    append('b')
    expect(read(0, 'c')).toEqual(['c<3'])
    expect(read(3, 'b', 'c', 'a')).toEqual([4, 6])
    expect(history.lastOf('c')).toBe(3)
    expect(history.lastOf('a')).toBe(4)
    expect(history.latest(10, selector('*'), ALL).map(({ seq }) => seq)).toEqual([1, 4, 5, 6])
  })

  it('may be one', () => {
    const { append, read } = keep({ maxChannels: 1 })
    for (const channel of ['a', 'a', 'b', 'a', 'a']) append(channel)
    expect(read(0, 'a', 'b')).toEqual(['a<2', 'b<3', 4, 5])
    expect(read(3, 'a', 'b')).toEqual([4, 5])
  })

  it('are not forgotten while anything of them is kept, nor before their time', () => {
    const { append, read, clock } = keep({ maxAgeMs: 1_000, channels: { ever: { maxAgeMs: 0 } } })
    append('a')
    append('ever')
    append('b')
    clock.advance(HOUR_MS)
    expect(read(0, 'a', 'ever', 'b', 'never')).toEqual(['a<1', 2, 'b<3'])
    clock.advance(1)
    expect(read(0, 'never')).toEqual(['never<1'])
    clock.advance(50 * HOUR_MS)
    expect(read(0, 'ever', 'never')).toEqual(['never<1', 2])
  })

  it('of forgotten channels with a new event begin after the forgotten events', () => {
    const { append, read, history } = keep({ maxChannels: 2 })
    for (const channel of ['a', 'b', 'c']) append(channel)
    expect(history.lastOf('a')).toBe(1)
    append('a')
    expect(read(0, 'a')).toEqual(['a<1', 4])
    expect(read(1, 'a')).toEqual([4])
    expect(read(0, '*')).toEqual(['a<1', '*<2', 3, 4])
  })
})

describe('a long channel', () => {
  it('is read from anywhere while its oldest events go', () => {
    const { append, read, history } = keep({ maxEvents: 100 })
    for (let seq = 1; seq <= 1_000; seq++) {
      append('a')
      const first = Math.max(1, seq - 99)
      if (seq % 7 !== 0) continue
      const items = read(0, 'a')
      expect(items.length).toBe(first === 1 ? seq : 101)
      expect(items.slice(first === 1 ? 0 : 1)).toEqual(Array.from({ length: seq - first + 1 }, (_, i) => first + i))
      expect(read(seq - 3, 'a')).toEqual([seq - 2, seq - 1, seq])
      expect(history.latest(2, selector('a'), ALL).map((event) => event.seq)).toEqual([seq - 1, seq])
    }
  })
})

describe('latest', () => {
  it('takes the newest of all within its limits, at least one', () => {
    const { append, history } = keep({ maxEvents: 3 })
    for (const channel of ['a', 'b', 'a', 'b', 'a', 'a', 'b']) append(channel, 100)
    const seqs = (count: number, names: string[], max: Partial<typeof ALL> = {}) =>
      history.latest(count, selector(...names), { ...ALL, ...max }).map(({ seq }) => seq)
    expect(seqs(2, ['a', 'b'])).toEqual([4, 5, 6, 7])
    expect(seqs(9, ['*'])).toEqual([2, 3, 4, 5, 6, 7])
    expect(seqs(9, ['*'], { events: 4 })).toEqual([4, 5, 6, 7])
    expect(seqs(9, ['*'], { bytes: 300 })).toEqual([5, 6, 7])
    expect(seqs(9, ['*'], { bytes: 299 })).toEqual([6, 7])
    expect(seqs(9, ['*'], { bytes: 1 })).toEqual([7])
    expect(seqs(9, ['never'])).toEqual([])
  })
})

it('an append looks at no entry of history.channels that has nothing to delete', () => {
  const names = Array.from({ length: 1_000 }, (_, i) => `c${i}`)
  const { retentions, ...options } = resolveHistoryOptions({
    maxBytes: 100_000,
    channels: Object.fromEntries(names.map((name) => [name, { maxAgeMs: HOUR_MS }])),
  })
  let looks = 0
  const counted = retentions.map((retention) => ({
    ...retention,
    get maxAgeMs() {
      looks++
      return retention.maxAgeMs
    },
  }))
  const retentionOf = (channel: string) => counted[retentions.indexOf(options.retentionOf(channel))]!
  const clock = manualClock()
  const history = new History({ ...options, retentions: counted, retentionOf }, clock, {
    event: ({ bytes }) => bytes,
    channel: 0,
  })
  let seq = 0
  const append = (channel: string) =>
    history.append(stored(++seq, channel, { prev: history.lastOf(channel), bytes: 20 }))
  for (const name of names) append(name)
  looks = 0
  for (let i = 0; i < 100; i++) append('other')
  expect(looks).toBeLessThan(500)
  history.close()
})

it('a page of a pattern makes readers for the channels it can reach, not for all', () => {
  const history = new History(resolveHistoryOptions({}), manualClock(), { event: () => 1, channel: 0 })
  const count = 2_000
  for (let seq = 1; seq <= 2 * count; seq++) {
    const channel = `p.c${(seq * 7) % count}`
    history.append(stored(seq, channel, { prev: history.lastOf(channel), bytes: 20 }))
  }
  const limit = { events: 50, bytes: 1_000_000 }
  const { items, upto, end } = history.read(0, 2 * count, selector('p.*'), limit)
  expect(items.map(({ seq }) => seq)).toEqual(Array.from({ length: 50 }, (_, i) => i + 1))
  expect({ upto, end }).toEqual({ upto: 50, end: false })
  // Each of them still has an item, so it is still there.
  expect(vi.mocked(mergePage).mock.lastCall![0]).toHaveLength(51)
  history.close()
})

it('a page of channels that share one loss skips no event of a channel behind them', () => {
  const history = new History(resolveHistoryOptions({}), manualClock(), { event: () => 1, channel: 0 })
  history.append(stored(2, 'p.d', { bytes: 20 }))
  for (let seq = 3; seq <= 6; seq++) history.append(stored(seq, `p.c${seq}`, { prev: 1, bytes: 20 }))
  const seqs: number[] = []
  for (let after = 0, end = false; !end; ) {
    const page = history.read(after, 6, selector('p.*'), { events: 3, bytes: 1_000_000 })
    seqs.push(...page.items.map(({ seq }) => seq))
    expect(page.end || page.upto > after).toBe(true)
    after = page.upto
    end = page.end
  }
  expect(seqs).toEqual([1, 2, 3, 4, 5, 6])
  history.close()
})
