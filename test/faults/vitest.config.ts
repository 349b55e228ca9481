import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

export default defineConfig({
  root: fileURLToPath(new URL('../../', import.meta.url)),
  test: {
    include: ['test/faults/**/*.faults.ts'],
    hookTimeout: 60_000,
    fileParallelism: false,
    reporters: ['verbose'],
  },
})
