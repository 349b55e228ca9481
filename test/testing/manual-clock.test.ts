import { describe, expect, it } from 'vitest'
import { manualClock } from '../../src/testing/index.ts'

describe('manualClock', () => {
  it('does not move on its own', async () => {
    const clock = manualClock({ now: 1_000 })
    let fired = false
    clock.setTimeout(() => {
      fired = true
    }, 0)
    await new Promise((resolve) => setImmediate(resolve))
    expect([clock.now(), clock.monotonic(), fired]).toEqual([1_000, 0, false])
  })

  it('starts on the first of January 2026', () => {
    expect(new Date(manualClock().now()).toISOString()).toBe('2026-01-01T00:00:00.000Z')
  })

  it('calls timers in the order in which they are due, each at its time, and equal ones as they were armed', () => {
    const clock = manualClock({ now: 0 })
    const calls: [string, number, number][] = []
    const arm = (name: string, ms: number) =>
      clock.setTimeout(() => calls.push([name, clock.monotonic(), clock.now()]), ms)
    arm('c', 30)
    arm('a', 10)
    arm('b1', 20)
    arm('b2', 20)
    arm('later', 31)
    clock.advance(30)
    expect(calls).toEqual([
      ['a', 10, 10],
      ['b1', 20, 20],
      ['b2', 20, 20],
      ['c', 30, 30],
    ])
    expect([clock.monotonic(), clock.pendingTimers]).toEqual([30, 1])
  })

  it('calls those armed while advancing, and not those cleared', () => {
    const clock = manualClock()
    const calls: number[] = []
    const again = (): void => {
      calls.push(clock.monotonic())
      clock.setTimeout(again, 10)
    }
    clock.setTimeout(again, 10)
    const cleared = clock.setTimeout(() => calls.push(-1), 15)
    clock.setTimeout(() => clock.clearTimeout(cleared), 12)
    clock.advance(35)
    expect(calls).toEqual([10, 20, 30])
  })

  it('takes at least a millisecond for a timer, so that one that arms itself again cannot hold the time still', () => {
    const clock = manualClock()
    let calls = 0
    const again = (): void => {
      calls++
      clock.setTimeout(again, 0)
    }
    again()
    clock.advance(5)
    expect(calls).toBe(6)
  })

  it('clears nothing for an unknown timer', () => {
    const clock = manualClock()
    clock.setTimeout(() => {}, 1)
    clock.clearTimeout(undefined)
    expect(clock.pendingTimers).toBe(1)
  })

  it('steps the wall clock alone', () => {
    const clock = manualClock({ now: 100 })
    let fired = false
    clock.setTimeout(() => {
      fired = true
    }, 5)
    clock.advance(1)
    clock.setWallTime(1_000_000)
    expect([clock.now(), clock.monotonic(), fired]).toEqual([1_000_000, 1, false])
    clock.advance(4)
    expect([clock.now(), clock.monotonic(), fired]).toEqual([1_000_004, 5, true])
  })

  it('lets an error of a timer out, at the time of the timer', () => {
    const clock = manualClock()
    clock.setTimeout(() => {
      throw new Error('boom')
    }, 5)
    expect(() => clock.advance(10)).toThrow('boom')
    expect(clock.monotonic()).toBe(5)
  })

  it.each([
    () => manualClock({ now: Number.NaN }),
    () => manualClock().advance(-1),
    () => manualClock().advance(Number.POSITIVE_INFINITY),
    () => manualClock().setWallTime(Number.NaN),
  ])('refuses an invalid time: %s', (wrong) => {
    expect(wrong).toThrow(TypeError)
  })
})
