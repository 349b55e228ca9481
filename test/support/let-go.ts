import { beforeEach, vi } from 'vitest'

// As a set-up file: letGo is on wherever an option does not say otherwise.
vi.mock('../../src/option.ts', async (original) => {
  const real = await original<typeof import('../../src/option.ts')>()
  return {
    ...real,
    booleanOption: (name: string, value: unknown, fallback: boolean) =>
      real.booleanOption(name, value, name === 'letGo' ? true : fallback),
  }
})

/** What cannot hold then, and why. */
const EXCEPT = new Map([
  ['adds one listener for drain, whoever waits, and takes it back', "Node's own listener goes between the two counts"],
])

beforeEach(({ task, skip }) => {
  const reason = EXCEPT.get(task.name)
  if (reason !== undefined) skip(reason)
})
