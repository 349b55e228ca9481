import { describe, expect, it } from 'vitest'
import type { Selector } from '../../src/broker/broker.ts'
import { LogTail } from '../../src/hub/log-tail.ts'
import { selector, stored } from '../broker/support.ts'

const ALL = { events: 1_000_000, bytes: 1_000_000_000 }
const everything: Selector = { channels: [], patterns: ['>'], matches: () => true }
const at = (seq: number) => ({ epoch: 'AAAAAA', seq })

function tailFrom(seq = 0): LogTail {
  const tail = new LogTail()
  tail.reset(at(seq))
  return tail
}

function append(tail: LogTail, event: ReturnType<typeof stored>): void {
  tail.append([event], at(event.seq))
}

function seqs(tail: LogTail, after: number, of = everything, limit = ALL): number[] | undefined {
  return tail.read(at(after), of, limit)?.items.map(({ seq }) => seq)
}

describe('LogTail', () => {
  it('returns the events after a position, for the channels of the selector', () => {
    const tail = tailFrom()
    for (const [seq, channel] of ['a', 'b', 'a', 'c', 'a'].entries()) append(tail, stored(seq + 1, channel))
    expect(seqs(tail, 0)).toEqual([1, 2, 3, 4, 5])
    expect(seqs(tail, 1, selector('a'))).toEqual([3, 5])
    expect(seqs(tail, 5)).toEqual([])
  })

  it('ends a page at the limit of events or bytes, but not before the first event', () => {
    const tail = tailFrom()
    for (let seq = 1; seq <= 6; seq++) append(tail, stored(seq, seq % 2 === 0 ? 'b' : 'a', { bytes: 100 }))
    const page = (after: number, limit: Partial<typeof ALL>) =>
      tail.read(at(after), selector('a'), { ...ALL, ...limit })
    expect(page(0, { events: 2 })).toMatchObject({ items: [{ seq: 1 }, { seq: 3 }], upto: at(3), end: false })
    expect(page(0, { bytes: 200 })).toMatchObject({ items: [{ seq: 1 }, { seq: 3 }], upto: at(3), end: false })
    expect(page(0, { bytes: 199 })).toMatchObject({ items: [{ seq: 1 }], upto: at(1), end: false })
    expect(page(0, { bytes: 1 })).toMatchObject({ items: [{ seq: 1 }], upto: at(1), end: false })
    expect(page(0, { events: 3 })).toMatchObject({ upto: at(6), end: true })
    expect(page(3, { events: 1 })).toMatchObject({ items: [{ seq: 5 }], upto: at(6), end: true })
  })

  it('holds 10,000 events and returns undefined for an older position', () => {
    const tail = tailFrom()
    for (let seq = 1; seq <= 10_000; seq++) append(tail, stored(seq, 'a'))
    expect(seqs(tail, 0)).toHaveLength(10_000)
    for (let seq = 10_001; seq <= 45_000; seq++) {
      append(tail, stored(seq, 'a'))
      if (seq % 997 !== 0) continue
      expect(seqs(tail, seq - 10_001)).toBeUndefined()
      expect(seqs(tail, seq - 3)).toEqual([seq - 2, seq - 1, seq])
    }
    const kept = seqs(tail, 35_000)!
    expect(kept).toHaveLength(10_000)
    expect([kept[0], kept.at(-1)]).toEqual([35_001, 45_000])
    expect(seqs(tail, 34_999)).toBeUndefined()
  })

  it('holds 16 MiB of encoded text', () => {
    const tail = tailFrom()
    for (let seq = 1; seq <= 16; seq++) append(tail, stored(seq, 'a', { bytes: 1_048_576 }))
    expect(seqs(tail, 0)).toHaveLength(16)
    append(tail, stored(17, 'a'))
    expect(seqs(tail, 0)).toBeUndefined()
    expect(seqs(tail, 1)).toHaveLength(16)
  })

  it('is empty after an event that is larger than the whole tail', () => {
    const tail = tailFrom()
    append(tail, stored(1, 'a'))
    append(tail, stored(2, 'a', { bytes: 17 * 1_048_576 }))
    expect(seqs(tail, 1)).toBeUndefined()
    expect(seqs(tail, 2)).toEqual([])
    append(tail, stored(3, 'a'))
    expect(seqs(tail, 2)).toEqual([3])
  })

  it('begins at the position of its last reset', () => {
    const tail = tailFrom(7)
    expect(tail.top).toEqual(at(7))
    expect(seqs(tail, 6)).toBeUndefined()
    expect(seqs(tail, 7)).toEqual([])
    for (let seq = 8; seq <= 12_000; seq++) append(tail, stored(seq, 'a', { bytes: 1_000 }))
    tail.reset(at(20_000))
    expect(seqs(tail, 19_999)).toBeUndefined()
    append(tail, stored(20_001, 'a'))
    expect(seqs(tail, 20_000)).toEqual([20_001])
  })

  it('ends at the top, which an empty batch may move', () => {
    const tail = tailFrom()
    append(tail, stored(1, 'a'))
    tail.append([], at(9))
    expect(tail.top).toEqual(at(9))
    expect(tail.read(at(1), everything, ALL)).toEqual({ status: 'ok', from: at(1), items: [], upto: at(9), end: true })
  })

  it('returns undefined for a position of another epoch, also after the epoch has changed', () => {
    const tail = tailFrom()
    append(tail, stored(1, 'a'))
    expect(tail.read({ epoch: 'BBBBBB', seq: 1 }, everything, ALL)).toBeUndefined()
    tail.append([stored(2, 'a')], { epoch: 'BBBBBB', seq: 2 })
    expect(tail.read(at(1), everything, ALL)).toBeUndefined()
    expect(tail.read({ epoch: 'BBBBBB', seq: 0 }, everything, ALL)).toBeUndefined()
    expect(tail.read({ epoch: 'BBBBBB', seq: 1 }, everything, ALL)?.items).toHaveLength(1)
  })

  describe('with a loss in a batch', () => {
    const lossy = () => {
      const tail = tailFrom(6)
      tail.append([{ channels: ['c', 'd'], seq: 6 }, stored(7, 'c'), stored(8, 'a')], at(8))
      return tail
    }

    it('returns the loss to every reader that stands before the event after it', () => {
      expect(lossy().read(at(6), selector('c'), ALL)?.items).toMatchObject([{ channels: ['c'], seq: 6 }, { seq: 7 }])
      expect(lossy().read(at(7), selector('c'), ALL)?.items).toEqual([])
    })

    it('returns the loss only for channels of the selector', () => {
      expect(lossy().read(at(6), selector('a'), ALL)?.items).toMatchObject([{ seq: 8 }])
      expect(lossy().read(at(6), selector('d', 'a'), ALL)?.items).toMatchObject([{ channels: ['d'] }, { seq: 8 }])
    })

    it('never ends a page between a loss and the event after it', () => {
      const tail = tailFrom(5)
      tail.append([stored(6, 'c'), { channels: ['c'], seq: 6 }, stored(7, 'c')], at(7))
      const first = tail.read(at(5), selector('c'), { ...ALL, events: 1 })
      expect(first).toMatchObject({ items: [{ seq: 6, channel: 'c' }], upto: at(6), end: false })
      expect(tail.read(at(6), selector('c'), { ...ALL, events: 1 })?.items).toMatchObject([
        { channels: ['c'] },
        { seq: 7 },
      ])
    })

    it('returns a loss at the end of a batch once, also after the next batch', () => {
      const tail = tailFrom(6)
      tail.append([{ channels: ['c'], seq: 7 }], at(7))
      expect(tail.read(at(6), selector('c'), ALL)?.items).toHaveLength(1)
      tail.append([stored(8, 'c')], at(8))
      expect(tail.read(at(7), selector('c'), ALL)?.items).toMatchObject([{ seq: 8 }])
    })
  })
})
