import { vi } from 'vitest'

// As a set-up file: letGo is on wherever an option does not say otherwise.
vi.mock('../../src/option.ts', async (original) => {
  const real = await original<typeof import('../../src/option.ts')>()
  return {
    ...real,
    booleanOption: (name: string, value: unknown, fallback: boolean) =>
      real.booleanOption(name, value, name === 'letGo' ? true : fallback),
  }
})
