import { linkSync, mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { claimFile, realFile } from '../../../src/broker/sqlite/files.ts'
import { findWorker } from '../../../src/broker/sqlite/thread.ts'
import { WORKER_BUILT } from './built-workers.ts'
import { brokerOf, Started, temporaryFile, temporaryFolder } from './support.ts'

const listener = { events: () => {}, suspect: () => {} }
const UNAVAILABLE = 'ERR_SSE_BROKER_UNAVAILABLE'

describe('a log', () => {
  it('is one however it is named: a symbolic link is followed', async () => {
    const folder = temporaryFolder()
    const [file, link, other] = ['hub.db', 'link.db', 'other'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ]
    const first = await Started.open(WORKER_BUILT, { file })
    symlinkSync(file, link)
    symlinkSync(folder, other)
    expect(realFile(join(other, 'hub.db'))).toBe(realFile(file))
    for (const name of [link, join(other, 'hub.db'), file]) {
      await expect(brokerOf(WORKER_BUILT, { file: name }).start(listener)).rejects.toThrow(/open in another broker/)
    }
    await first.broker.close()
    const second = await Started.open(WORKER_BUILT, { file: link })
    expect(await second.publish('a1')).toBe('1')
  })

  it('with two names is refused', async () => {
    const file = temporaryFile()
    const first = await Started.open(WORKER_BUILT, { file })
    await first.publish('a1')
    await first.broker.close()
    linkSync(file, `${file}-2`)
    await expect(brokerOf(WORKER_BUILT, { file }).start(listener)).rejects.toThrow(/several names \(hard links\)/)
  })

  it.each([
    ['deleted', (file: string) => rmSync(file)],
    ['replaced', (file: string) => renameSync(file, `${file}-old`)],
    [
      'replaced by another file',
      (file: string) => {
        renameSync(file, `${file}-old`)
        writeFileSync(file, '')
      },
    ],
  ])('that is %s while it is in use acknowledges nothing more', async (_, change) => {
    const file = temporaryFile()
    const { broker, publish } = await Started.open(WORKER_BUILT, { file })
    void publish
    const started = await Promise.resolve(broker)
    const fields = 'data: x\n\n'
    const none = { event: undefined, conflationKey: undefined, idempotencyKey: undefined }
    const event = { channel: 'a', data: 'x', json: false, fields, bytes: fields.length, ...none }
    await started.publish([[event]])
    change(file)
    await expect(started.publish([[event]])).rejects.toMatchObject({
      code: UNAVAILABLE,
      message: expect.stringContaining('deleted or replaced'),
    })
  })

  it.each(['-wal', '-shm', '-lock'])(
    'whose %s is a directory is refused, with the path in the cause alone',
    async (suffix) => {
      const file = temporaryFile()
      mkdirSync(`${file}${suffix}`)
      const error = await brokerOf(WORKER_BUILT, { file })
        .start(listener)
        .then(
          () => undefined,
          (reason) => reason,
        )
      expect(error).toMatchObject({ code: UNAVAILABLE })
      expect(error.detail).not.toContain(file)
      expect(String(error.cause)).toContain(`${file}${suffix} is a directory`)
    },
  )

  it('is claimed by all copies of this package in a process', async () => {
    const file = temporaryFile()
    const release = await claimFile(file)
    await expect(claimFile(file)).rejects.toThrow(/open in another broker/)
    release()
    ;(await claimFile(file))()
  })
})

it('the worker of a log is looked for when it is needed', () => {
  expect(findWorker().pathname).toMatch(/worker-from-source\.mjs$/)
})
