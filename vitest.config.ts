import { defineConfig } from 'vitest/config'

/** Long runs: they repeat at random, or wait for processes that restart. */
const LONG = [
  'test/faults/**/faults.test.ts',
  'test/sockets/soak.test.ts',
  'test/express/fuzz.test.ts',
  'test/demo/{examples,visitor}.test.ts',
]
/** Tests that start processes, compile, write files, or search for a counterexample. */
const SYSTEM = [
  'test/{package,types}.test.ts',
  'test/readme/*.test.ts',
  'test/packaging/*.test.ts',
  'test/{bench,demo,faults,sockets}/**/*.test.ts',
  'test/broker/{sqlite,redis}/**/*.test.ts',
  'test/hub/{interleavings,model}.test.ts',
  'test/**/*.property.test.ts',
]
const E2E = 'test/e2e/**'

// `npm run test:unit` runs the first project, `npm test` the first two, `npm run test:all` every one.
export default defineConfig({
  test: {
    // Most tests wait for sockets, not for a core.
    maxWorkers: 3,
    testTimeout: 60_000,
    coverage: {
      provider: 'v8',
      include: ['src/**'],
      // They run in threads of their own, which are not measured.
      exclude: ['src/broker/sqlite/thread/{service,worker}.ts'],
      thresholds: { lines: 95, branches: 95 },
    },
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: ['test/**/*.test.ts'], exclude: [E2E, ...SYSTEM, ...LONG] },
      },
      {
        extends: true,
        test: { name: 'system', include: SYSTEM, exclude: [E2E, ...LONG] },
      },
      {
        extends: true,
        test: { name: 'long', include: LONG, exclude: [E2E] },
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
