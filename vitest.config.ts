import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // Most tests wait for sockets, not for a core.
    maxWorkers: 3,
    testTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      thresholds: { lines: 95, branches: 95 },
    },
    projects: [
      {
        extends: true,
        test: { name: 'all', include: ['test/**/*.test.ts'], exclude: ['test/e2e/**'] },
      },
      {
        // What goes over HTTP, once more: a stream behaves the same whichever way its bytes take to the peer.
        extends: true,
        test: {
          name: 'plain path',
          include: ['test/{stream,express,sockets}/**/*.test.ts'],
          exclude: ['test/stream/socket-sink.test.ts', 'test/{stream,express}/let-go.test.ts'],
          setupFiles: ['test/support/plain-path.ts'],
        },
      },
      {
        // And once more with every stream let go of that can be.
        extends: true,
        test: {
          name: 'let go',
          include: ['test/{stream,express}/**/*.test.ts'],
          // The first two say what the defaults are, and what it takes; the others are about requests and not about streams.
          exclude: [
            'test/stream/options.test.ts',
            'test/{stream,express}/let-go.test.ts',
            'test/express/{cross-site,fuzz,parsers,post}.test.ts',
          ],
          setupFiles: ['test/support/let-go.ts'],
        },
      },
    ],
  },
})
