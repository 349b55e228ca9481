import { describe, expect, it } from 'vitest'
import type { Selector } from '../../src/broker/broker.ts'
import { firstAfter, sizeOf, Tail } from '../../src/broker/tail.ts'
import { selector, stored } from './support.ts'

const ALL = { events: 1_000_000, bytes: 1_000_000_000 }
const everything: Selector = { channels: [], patterns: ['>'], matches: () => true }

function seqs(tail: Tail, after: number, of = everything, max = ALL): number[] | undefined {
  return tail.read(after, 1_000_000, of, max)?.items.map(({ seq }) => seq)
}

describe('the tail', () => {
  it('gives what is after a position, for the channels asked for', () => {
    const tail = new Tail()
    for (const [seq, channel] of ['a', 'b', 'a', 'c', 'a'].entries()) tail.append(stored(seq + 1, channel))
    expect(seqs(tail, 0)).toEqual([1, 2, 3, 4, 5])
    expect(seqs(tail, 1, selector('a'))).toEqual([3, 5])
    expect(seqs(tail, 5)).toEqual([])
  })

  it('ends a page after so many events or bytes, but not before the first', () => {
    const tail = new Tail()
    for (let seq = 1; seq <= 6; seq++) tail.append(stored(seq, seq % 2 === 0 ? 'b' : 'a', { bytes: 100 }))
    const of = selector('a')
    expect(tail.read(0, 6, of, { ...ALL, events: 2 })).toMatchObject({
      items: [{ seq: 1 }, { seq: 3 }],
      upto: 3,
      end: false,
    })
    expect(tail.read(0, 6, of, { ...ALL, bytes: 200 })).toMatchObject({
      items: [{ seq: 1 }, { seq: 3 }],
      upto: 3,
      end: false,
    })
    expect(tail.read(0, 6, of, { ...ALL, bytes: 199 })).toMatchObject({ items: [{ seq: 1 }], upto: 1, end: false })
    expect(tail.read(0, 6, of, { ...ALL, bytes: 1 })).toMatchObject({ items: [{ seq: 1 }], upto: 1, end: false })
    expect(tail.read(0, 6, of, { ...ALL, events: 3 })).toMatchObject({ upto: 6, end: true })
    expect(tail.read(3, 6, of, { ...ALL, events: 1 })).toMatchObject({ items: [{ seq: 5 }], upto: 6, end: true })
  })

  it('holds 10,000 events, and says when something older was asked for', () => {
    const tail = new Tail()
    for (let seq = 1; seq <= 10_000; seq++) tail.append(stored(seq, 'a'))
    expect(seqs(tail, 0)).toHaveLength(10_000)
    for (let seq = 10_001; seq <= 45_000; seq++) {
      tail.append(stored(seq, 'a'))
      if (seq % 997 !== 0) continue
      expect(seqs(tail, seq - 10_001)).toBeUndefined()
      expect(seqs(tail, seq - 3)).toEqual([seq - 2, seq - 1, seq])
    }
    const kept = seqs(tail, 35_000)!
    expect(kept).toHaveLength(10_000)
    expect([kept[0], kept.at(-1)]).toEqual([35_001, 45_000])
    expect(seqs(tail, 34_999)).toBeUndefined()
  })

  it('holds 16 MiB, counted as encoded', () => {
    const tail = new Tail()
    const mebibyte = 1_048_576
    for (let seq = 1; seq <= 16; seq++) tail.append(stored(seq, 'a', { bytes: mebibyte }))
    expect(seqs(tail, 0)).toHaveLength(16)
    tail.append(stored(17, 'a', { bytes: 1 + sizeOf(stored(0, 'a')) }))
    expect(seqs(tail, 0)).toBeUndefined()
    expect(seqs(tail, 1)).toHaveLength(16)
    expect(sizeOf(stored(1, 'a', { data: 'ä€😀' }))).toBe(sizeOf(stored(1, 'a', { data: '' })) + 9)
  })

  it('an event larger than all of it leaves it empty, and nothing before it can be asked for', () => {
    const tail = new Tail()
    tail.append(stored(1, 'a'))
    tail.append(stored(2, 'a', { bytes: 17 * 1_048_576 }))
    expect(seqs(tail, 1)).toBeUndefined()
    expect(seqs(tail, 2)).toEqual([])
    tail.append(stored(3, 'a'))
    expect(seqs(tail, 2)).toEqual([3])
  })

  it('begins after a position, also when it is reset', () => {
    const tail = new Tail(7)
    expect(seqs(tail, 6)).toBeUndefined()
    expect(seqs(tail, 7)).toEqual([])
    for (let seq = 8; seq <= 12_000; seq++) tail.append(stored(seq, 'a', { bytes: 1_000 }))
    tail.reset(20_000)
    expect(seqs(tail, 19_999)).toBeUndefined()
    tail.append(stored(20_001, 'a'))
    expect(seqs(tail, 20_000)).toEqual([20_001])
  })
})

it('firstAfter finds the first item after a position, among those that are there', () => {
  const items = [Number.NaN, Number.NaN, 3, 5, 5, 9]
  const at = (seq: number) => firstAfter(items, 2, seq, (item) => item)
  expect([0, 3, 4, 5, 8, 9, 10].map(at)).toEqual([2, 3, 3, 5, 5, 6, 6])
  expect(firstAfter([], 0, 1, () => 0)).toBe(0)
})
