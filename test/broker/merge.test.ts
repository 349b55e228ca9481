import { expect, it } from 'vitest'
import { firstAfter } from '../../src/broker/merge.ts'

it('firstAfter finds the first item after a position, from an index on', () => {
  const items = [Number.NaN, Number.NaN, 3, 5, 5, 9]
  const at = (seq: number) => firstAfter(items, 2, seq, (item) => item)
  expect([0, 3, 4, 5, 8, 9, 10].map(at)).toEqual([2, 3, 3, 5, 5, 6, 6])
  expect(firstAfter([], 0, 1, () => 0)).toBe(0)
})
