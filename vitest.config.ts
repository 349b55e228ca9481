import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // Most tests wait for sockets, not for a core.
    maxWorkers: 3,
    include: ['test/**/*.test.ts'],
    exclude: ['test/e2e/**', 'test/bench/**'],
    testTimeout: 20_000,
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      thresholds: { lines: 95, branches: 95 },
    },
  },
})
