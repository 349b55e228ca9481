import { expect, it } from 'vitest'
import { Tally } from '../../demo/page/tally.ts'

const none = { received: 0, replayed: 0, duplicated: 0, lost: 0, gaps: 0 }

it('begins with whatever comes first', () => {
  const tally = new Tally()
  expect([tally.number(7, 6), tally.number(8, 6)]).toEqual(['live', 'live'])
  expect(tally.counts).toEqual({ ...none, received: 2 })
})

it('counts numbers from before the connection as a replay', () => {
  const tally = new Tally()
  tally.number(1, 0)
  expect([2, 3, 4].map((n) => tally.number(n, 3))).toEqual(['replayed', 'replayed', 'live'])
  expect(tally.counts).toEqual({ ...none, received: 4, replayed: 2 })
})

it('counts a hole as lost, by its width', () => {
  const tally = new Tally()
  for (const n of [1, 2, 5, 6]) tally.number(n, 0)
  expect(tally.counts).toEqual({ ...none, received: 4, lost: 2 })
})

it('counts repeated and late numbers as duplicated', () => {
  const tally = new Tally()
  for (const n of [1, 2, 2, 1, 3]) tally.number(n, 0)
  expect(tally.counts).toEqual({ ...none, received: 3, duplicated: 2 })
})

it('excuses one missing range, and one restart, for each reported gap', () => {
  const tally = new Tally()
  tally.number(1, 0)
  tally.gap()
  tally.number(9, 0)
  tally.number(12, 0)
  expect(tally.counts).toEqual({ ...none, received: 3, lost: 2, gaps: 1 })
  tally.gap()
  tally.number(1, 0)
  expect(tally.counts).toEqual({ ...none, received: 4, lost: 2, gaps: 2 })
})
