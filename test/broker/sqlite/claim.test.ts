import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { claimFile } from '../../../src/broker/sqlite/claim.ts'
import { realFile } from '../../../src/broker/sqlite/log/file-in-place.ts'
import { brokerOf, Started, temporaryFile, temporaryFolder } from './support.ts'
import { WORKER_BUILT } from './thread/built-workers.ts'

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
