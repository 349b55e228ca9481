import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { sizeOf } from './sizing.ts'

it('the costs of a fleet grow with its load, and the table has a row for each', async () => {
  const small = sizeOf({ eventsPerSecond: 1_000, streams: 10_000 })
  const large = sizeOf({ eventsPerSecond: 100_000, streams: 1_000_000, share: 0.02 })
  expect(small).toMatchObject({ nodes: 1, partitions: 1 })
  expect(large.nodes).toBe(50)
  expect(large.partitions).toBeGreaterThan(1)
  const script = fileURLToPath(new URL('sizing.ts', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script])
  expect(stdout.match(/breaks first/g)).toHaveLength(5)
})
