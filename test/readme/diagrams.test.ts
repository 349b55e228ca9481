import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ROOT, sourceOf } from './documents.ts'
import { STATES, WALK } from './snippets.ts'

it('the diagram of the path of an event names files that exist', () => {
  expect(WALK).toMatch(/^sequenceDiagram\n/)
  const participants = [...WALK.matchAll(/^ {2}participant (\w) as (\S+)$/gm)]
  expect(participants.length).toBeGreaterThan(4)
  for (const [, , file] of participants) expect(existsSync(join(ROOT, 'src', file!)), file).toBe(true)
  const letters = participants.map(([, letter]) => letter)
  const steps = [...WALK.matchAll(/^ {2}(\w)--?>>(\w): .+$/gm)]
  expect(participants.length + steps.length + 1).toBe(WALK.trim().split('\n').length)
  for (const [, from, to] of steps) expect(letters).toEqual(expect.arrayContaining([from, to]))
  const folders = ['express', 'protocol', 'broker', 'hub']
  for (const [, file] of WALK.matchAll(/\((\S+\.ts)\)/g)) {
    const places = [file!, ...folders.map((folder) => `${folder}/${file}`)]
    expect(
      places.some((place) => existsSync(join(ROOT, 'src', place))),
      file,
    ).toBe(true)
  }
})

it('the diagram of a subscription has the states of the source', () => {
  expect(STATES).toMatch(/^stateDiagram-v2\n/)
  const drawn = new Set([...STATES.matchAll(/^ {2}(\w+) -->/gm)].map(([, state]) => state))
  expect([...drawn].sort()).toEqual(['catching', 'closed', 'joining', 'live', 'parked'])
  // The states of a CatchUp; a subscription without one is live or closed.
  const [, waits] = /#waitsFor: (.*?) \| undefined/.exec(sourceOf('hub/catch-up.ts'))!
  expect(waits).toBe("'broker' | 'read' | 'decision' | 'snapshots' | 'drain' | 'hub'")
  expect(sourceOf('hub/catch-up.ts')).toContain('get isJoining')
  expect(sourceOf('hub/catch-up.ts')).toContain('get isParked')
})
