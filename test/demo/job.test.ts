import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { type JobStep, runJob } from '../../demo/job.ts'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'job-'))
})
afterEach(() => rm(folder, { recursive: true }))

async function stepsOf(kind: 'sha256' | 'gzip', signal = new AbortController().signal): Promise<JobStep[]> {
  const steps: JobStep[] = []
  for await (const step of runJob(kind, folder, signal)) steps.push(step)
  return steps
}

it('hashes names and contents', async () => {
  await writeFile(join(folder, 'a'), 'hello')
  const steps = await stepsOf('sha256')
  const digest = createHash('sha256').update('a\0hello').digest('hex')
  expect(steps.at(-1)).toEqual({
    state: 'done',
    files: 1,
    totalFiles: 1,
    bytes: 5,
    totalBytes: 5,
    says: `SHA-256 ${digest}`,
  })
})

it('compresses every file below the folder, and follows no link out of it', async () => {
  const text = 'abc'.repeat(50_000)
  await mkdir(join(folder, 'deep', 'er'), { recursive: true })
  await writeFile(join(folder, 'deep', 'er', 'file'), text)
  await symlink('/etc', join(folder, 'link'))
  const { says, ...last } = (await stepsOf('gzip')).at(-1)!
  expect(last).toEqual({ state: 'done', files: 1, totalFiles: 1, bytes: 150_000, totalBytes: 150_000 })
  const percent = (100 * gzipSync(text).length) / text.length
  expect(says).toBe(`gzip: 0.1 MB became 0.0 MB, ${percent.toFixed(1)} %`)
})

it.each(['sha256', 'gzip'] as const)('stops in the middle of a file: %s', async (kind) => {
  await writeFile(join(folder, 'large'), Buffer.alloc(64_000_000, 'some text that repeats'))
  const controller = new AbortController()
  const job = runJob(kind, folder, controller.signal)
  const read = async () => {
    for await (const { bytes } of job) if (bytes > 0) controller.abort()
  }
  await expect(read()).rejects.toThrow('aborted')
})

it('has nothing to do in an empty folder', async () => {
  expect((await stepsOf('gzip')).at(-1)).toMatchObject({ state: 'done', files: 0, bytes: 0 })
})
