import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { selector } from '../support.ts'
import { ALL, event } from './log/log.ts'
import { Process } from './processes.ts'
import { brokerOf, Started, temporaryFile, temporaryFolder } from './support.ts'
import { ENTRY_BUILT, WORKER_BUILT } from './thread/built-workers.ts'

const a = selector('a')
const listener = { events: () => {}, suspect: () => {} }
const UNAVAILABLE = 'ERR_SSE_BROKER_UNAVAILABLE'

/** A process that opens a log, appends `a1`… to it, and prints its receipts. */
function publisher(file: string, count: number, then: string): Process {
  return new Process(`
    import { sqliteBroker } from ${JSON.stringify(ENTRY_BUILT)}
    const say = (value) => process.stdout.write(JSON.stringify(value) + '\\n')
    const broker = sqliteBroker({ file: ${JSON.stringify(file)} })
    await broker.start({ events() {}, suspect() {} })
    for (let i = 1; i <= ${count}; i++) {
      const fields = 'data: a' + i + '\\n\\n'
      const [[{ id }]] = await broker.publish([[{ channel: 'a', data: 'a' + i, json: false, fields, bytes: fields.length }]])
      say(id)
    }
    ${then}
  `)
}

describe('a log on disk', () => {
  it('resumes at its position after a restart', async () => {
    const file = temporaryFile()
    const first = await Started.open(WORKER_BUILT, { file })
    expect(await first.publish('a1', event('a2', { idempotencyKey: 'k' }))).toBe('1 2')
    const position = { epoch: first.top.epoch, seq: 1 }
    await first.broker.close()
    const second = await Started.open(WORKER_BUILT, { file })
    const top = second.top
    expect(top.seq).toBe(2)
    expect(top.epoch).not.toBe(position.epoch)
    expect(await second.publish(event('a2', { idempotencyKey: 'k' }), 'a3')).toBe('2 again 3')
    expect(await second.publish(event('other', { channel: 'a', idempotencyKey: 'k' }))).toBe(
      'ERR_SSE_IDEMPOTENCY_MISMATCH',
    )
    const page = await second.broker.read(position, a, ALL)
    expect(page).toMatchObject({ status: 'ok', from: { epoch: top.epoch, seq: 1 }, end: true })
    expect(page.items).toMatchObject([
      { data: 'a2', prev: 1 },
      { data: 'a3', prev: 2 },
    ])
    expect(second.told).toEqual(['a3 to 3'])
  })

  it('has every event that a killed process was given a receipt for', async () => {
    const file = temporaryFile()
    const child = publisher(file, 1_000, '')
    const ids = [await child.next(), await child.next(), await child.next()] as { epoch: string; seq: number }[]
    await child.kill()
    const { broker } = await Started.open(WORKER_BUILT, { file })
    const { status, items } = await broker.read({ epoch: ids[0]!.epoch, seq: 0 }, a, ALL)
    expect(status).toBe('ok')
    expect(items.slice(0, 3)).toMatchObject(ids.map(({ seq }, i) => ({ seq, data: `a${i + 1}` })))
  })

  it('is for one broker: another one is refused, in this process and in another, until the first is gone', async () => {
    const file = temporaryFile()
    const { broker } = await Started.open(WORKER_BUILT, { file })
    await expect(brokerOf(WORKER_BUILT, { file }).start(listener)).rejects.toMatchObject({
      code: UNAVAILABLE,
      detail: 'The file of the log is open in another broker: one file serves one hub.',
    })
    await broker.close()
    const child = publisher(file, 1, 'setInterval(() => {}, 1_000)')
    const { seq } = (await child.next()) as { seq: number }
    expect(seq).toBe(1)
    await expect(brokerOf(WORKER_BUILT, { file }).start(listener)).rejects.toMatchObject({ code: UNAVAILABLE })
    await child.kill()
    const after = await Started.open(WORKER_BUILT, { file })
    expect(after.top.seq).toBe(1)
  })

  it('waits for a broker that is about to release the file', async () => {
    const file = temporaryFile()
    const first = await Started.open(WORKER_BUILT, { file })
    const second = brokerOf(WORKER_BUILT, { file })
    const starting = second.start(listener)
    await first.broker.close()
    await expect(starting).resolves.toMatchObject({ seq: 0 })
  })

  it('is one file once it is closed, but for the empty lock', async () => {
    const file = temporaryFile()
    const { broker } = await Started.open(WORKER_BUILT, { file })
    await broker.publish([[event('a1')]])
    expect(existsSync(`${file}-wal`)).toBe(true)
    await broker.close()
    expect(existsSync(`${file}-wal`)).toBe(false)
    expect(readFileSync(`${file}-lock`)).toHaveLength(0)
  })

  it('that is idle does not keep a process alive', async () => {
    const child = publisher(temporaryFile(), 1, 'broker.read(undefined, { channels: [], patterns: [] }, {})')
    await child.next()
    expect(await child.exit()).toBe(0)
  })

  it('that is being closed does', async () => {
    const child = publisher(temporaryFile(), 1, "await broker.close(); say('closed')")
    await child.next()
    expect(await child.next()).toBe('closed')
    expect(await child.exit()).toBe(0)
  })
})

describe('a backup', () => {
  it('is a log with all earlier events, made while publishing continues', async () => {
    const file = temporaryFile()
    const copy = join(temporaryFolder(), 'copy.db')
    const { broker, top } = await Started.open(WORKER_BUILT, { file })
    await broker.publish([Array.from({ length: 500 }, (_, i) => event(`a${i}`))])
    const position = { epoch: top.epoch, seq: 499 }
    const [during] = await Promise.all([broker.publish([[event('b1')]]), broker.backup(copy)])
    expect(during).toMatchObject([[{ id: { seq: 501 } }]])
    await broker.publish([[event('a500')]])
    const restored = await Started.open(WORKER_BUILT, { file: copy })
    expect(restored.top.seq).toBeGreaterThanOrEqual(500)
    expect((await restored.broker.read(position, a, ALL)).items).toMatchObject([{ data: 'a499' }])
    expect(await restored.broker.read({ ...position, seq: 502 }, a, ALL)).toMatchObject({ status: 'diverged' })
  })

  it('replaces nothing, and leaves nothing when it fails', async () => {
    const folder = temporaryFolder()
    const { broker } = await Started.open(WORKER_BUILT, { file: join(folder, 'hub.db') })
    const other = join(folder, 'other')
    writeFileSync(other, 'mine')
    await expect(broker.backup(other)).rejects.toMatchObject({
      code: UNAVAILABLE,
      detail: expect.stringMatching('would replace an existing file'),
    })
    expect(readFileSync(other, 'utf8')).toBe('mine')
    const missing = join(folder, 'no such folder', 'copy.db')
    await expect(broker.backup(missing)).rejects.toMatchObject({
      code: UNAVAILABLE,
      detail: expect.stringMatching('cannot be written'),
    })
    await expect(broker.backup('')).rejects.toThrow(TypeError)
    await broker.close()
    await expect(broker.backup(join(folder, 'late.db'))).rejects.toMatchObject({ code: UNAVAILABLE })
    expect(existsSync(join(folder, 'late.db'))).toBe(false)
  })
})
