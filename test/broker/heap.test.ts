import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Heap, RisingHeap } from '../../src/broker/heap.ts'

it('a heap gives its items in order', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(50)), fc.array(fc.nat(50)), (given, added) => {
      const items = [...given]
      const heap = new Heap(items, (one, other) => one < other)
      for (const one of added) heap.push(one)
      const taken: number[] = []
      for (let first = heap.first; first !== undefined; first = heap.first) {
        taken.push(first)
        heap.removeFirst()
      }
      expect(taken).toEqual([...given, ...added].sort((one, other) => one - other))
      expect(items).toEqual([])
    }),
  )
})

it('a rising heap knows the smallest key, whichever keys have risen or gone', () => {
  const step = fc.record({ item: fc.nat(7), by: fc.option(fc.nat(9), { nil: undefined }) })
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const keys = new Map<number, number>()
      const heap = new RisingHeap<number>((item) => keys.get(item))
      let low = 0
      for (const { item, by } of steps) {
        if (by === undefined) keys.delete(item)
        else {
          // Also one that comes back has no smaller key than before.
          low += by
          keys.set(item, low)
          heap.add(item)
        }
        const first = heap.first()
        expect(first === undefined ? undefined : keys.get(first)).toBe(
          keys.size === 0 ? undefined : Math.min(...keys.values()),
        )
      }
    }),
  )
})
