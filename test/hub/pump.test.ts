import { expect, it } from 'vitest'
import { Pump } from '../../src/hub/pump.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

function members(pump: Pump, names: string, bytes: number, log: string[], times = 3) {
  return [...names].map((name) => {
    let left = times
    const member = {
      step: () => {
        log.push(name)
        if (--left > 0) pump.add(member)
        return bytes
      },
    }
    return member
  })
}

it('gives each member one page in turn', async () => {
  const pump = new Pump(manualClock())
  const log: string[] = []
  for (const member of members(pump, 'abc', 100, log)) pump.add(member)
  await turn()
  expect(log.join('')).toBe('abc')
  await turn()
  expect(log.join('')).toBe('abcabc')
  await turn()
  await turn()
  expect(log.join('')).toBe('abcabcabc')
})

it('lets the event loop run after 2 MiB, and continues with the next', async () => {
  const pump = new Pump(manualClock())
  const log: string[] = []
  for (const member of members(pump, 'abcd', 1_048_576, log, 1)) pump.add(member)
  await turn()
  expect(log.join('')).toBe('ab')
  await turn()
  expect(log.join('')).toBe('abcd')
})

it('lets the event loop run after 5 ms', async () => {
  const clock = manualClock()
  const pump = new Pump(clock)
  const log: string[] = []
  for (const name of ['a', 'b', 'c']) {
    pump.add({
      step: () => {
        log.push(name)
        clock.advance(6)
        return 0
      },
    })
  }
  await turn()
  expect(log).toEqual(['a'])
  await turn()
  await turn()
  expect(log).toEqual(['a', 'b', 'c'])
})

it('queues no member twice, and forgets members that left', async () => {
  const pump = new Pump(manualClock())
  const log: string[] = []
  const [a, b] = members(pump, 'ab', 0, log, 1)
  pump.add(a!)
  pump.add(a!)
  pump.add(b!)
  pump.delete(b!)
  await turn()
  await turn()
  expect(log).toEqual(['a'])
})
