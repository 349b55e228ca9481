import { expect, it } from 'vitest'
import { Slots } from '../../src/hub/slots.ts'

it('slots run so much work at a time, the rest in order, and free the place of work that fails', async () => {
  const slots = new Slots(2)
  const log: string[] = []
  const ends: (() => void)[] = []
  const work = (name: string, fails = false) =>
    slots
      .run(async () => {
        log.push(`begin ${name}`)
        await new Promise<void>((resolve) => ends.push(resolve))
        if (fails) throw new Error(name)
        return name
      })
      .then(
        (result) => log.push(`end ${result}`),
        (error) => log.push(`failed ${error.message}`),
      )
  const all = [work('a', true), work('b'), work('c'), work('d')]
  expect(log).toEqual(['begin a', 'begin b'])
  for (let i = 0; i < 4; i++) {
    ends[i]!()
    for (let tick = 0; tick < 10; tick++) await undefined
  }
  await Promise.all(all)
  expect(log.filter((entry) => entry.startsWith('begin'))).toEqual(['begin a', 'begin b', 'begin c', 'begin d'])
  expect(log.filter((entry) => !entry.startsWith('begin'))).toEqual(['failed a', 'end b', 'end c', 'end d'])
})
