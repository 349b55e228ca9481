import { linkSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { brokerOf, Started, temporaryFile } from '../support.ts'
import { WORKER_BUILT } from '../thread/built-workers.ts'

const listener = { events: () => {}, suspect: () => {} }
const UNAVAILABLE = 'ERR_SSE_BROKER_UNAVAILABLE'

describe('a log', () => {
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
})
