import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { sqliteBroker } from '../../../src/broker/sqlite/index.ts'
import { loadDriver } from '../../../src/broker/sqlite/log/driver.ts'
import { openForWriting } from '../../../src/broker/sqlite/log/schema.ts'
import { selector } from '../support.ts'
import { event, Log } from './log/log.ts'
import { Process } from './processes.ts'
import { brokerOf, Started, temporaryFile, temporaryFolder } from './support.ts'
import { ENTRY_BUILT, WORKER_BUILT } from './thread/built-workers.ts'

const UNAVAILABLE = 'ERR_SSE_BROKER_UNAVAILABLE'
const listener = { events: () => {}, suspect: () => {} }

/** What `start` says of a file. Afterwards the broker refuses everything, and lets go. */
async function refusalOf(file: string): Promise<string> {
  const broker = brokerOf(WORKER_BUILT, { file })
  const error = await broker.start(listener).then(
    () => undefined,
    (error) => error,
  )
  expect(error).toMatchObject({ code: UNAVAILABLE })
  expect(error.detail).not.toContain(dirname(file))
  expect(error.cause.message).not.toBe('')
  await expect(broker.publish([[event('a1')]])).rejects.toMatchObject({ code: UNAVAILABLE })
  await expect(
    broker.read(undefined, { channels: [], patterns: [], matches: () => false }, { events: 1, bytes: 1 }),
  ).rejects.toMatchObject({ code: UNAVAILABLE })
  await broker.close()
  return error.detail
}

describe('a file that cannot be the log', () => {
  it('is not a database', async () => {
    const file = temporaryFile()
    const text = 'This is a text, and not a short one. '.repeat(200)
    writeFileSync(file, text)
    expect(await refusalOf(file)).toBe('The file of the log is not a SQLite database.')
    expect(readFileSync(file, 'utf8')).toBe(text)
  })

  it('is a database of another program, which stays unchanged', async () => {
    const file = temporaryFile()
    const db = (await loadDriver()).open(file)
    db.exec('CREATE TABLE mine (x)')
    db.close()
    const before = readFileSync(file)
    expect(await refusalOf(file)).toBe('The file of the log is a database of another program.')
    expect(readFileSync(file)).toEqual(before)
  })

  it('is a log of another format', async () => {
    const file = temporaryFile()
    const db = openForWriting(await loadDriver(), file, 'full')
    db.exec('PRAGMA user_version = 3')
    db.close()
    expect(await refusalOf(file)).toMatch(/has format 3; this version of express-sse-hub supports 2\./)
  })

  it('is damaged', async () => {
    const file = temporaryFile()
    const log = await Log.open(file)
    log.append(0, 'a1')
    log.close()
    const bytes = readFileSync(file)
    writeFileSync(file, bytes.fill(0xff, 100))
    expect(await refusalOf(file)).toBe('The file of the log is damaged: restore a backup.')
  })

  it('is a folder, or in none', async () => {
    const folder = temporaryFolder()
    mkdirSync(join(folder, 'hub.db'))
    const message = /cannot be opened: its folder must exist, and this process must be allowed to write there/
    expect(await refusalOf(join(folder, 'hub.db'))).toMatch(message)
    expect(await refusalOf(join(folder, 'missing', 'hub.db'))).toMatch(message)
  })

  it('is read-only', async () => {
    const file = temporaryFile()
    const log = await Log.open(file)
    log.append(0, 'a1')
    log.close()
    chmodSync(dirname(file), 0o777)
    chmodSync(file, 0o444)
    // A process with few permissions: the modules are loaded first, because it may not be allowed to read them.
    const child = new Process(`
      const { serviceOf, answer } = await import(new URL('./thread/service.js', ${JSON.stringify(ENTRY_BUILT)}))
      const { loadDriver } = await import(new URL('./log/driver.js', ${JSON.stringify(ENTRY_BUILT)}))
      const driver = await loadDriver()
      if (process.getuid() === 0) process.setuid(65534)
      const data = { role: 'writer', file: ${JSON.stringify(file)}, durability: 'full' }
      const service = serviceOf(data, async () => driver)
      const request = { do: 'open', epoch: 'aaaaaa', wallTime: 0 }
      process.stdout.write(JSON.stringify((await answer(service, { id: 1, request })).error) + '\\n')
    `)
    expect(await child.next()).toMatchObject({ code: UNAVAILABLE, detail: 'The file of the log is read-only.' })
  })

  it('does not stand in the way of a later broker', async () => {
    const file = temporaryFile()
    writeFileSync(file, 'no database'.repeat(100))
    await refusalOf(file)
    writeFileSync(file, '')
    const { publish } = await Started.open(WORKER_BUILT, { file })
    expect(publish).toBeInstanceOf(Function)
  })
})

it('a log of format 1 becomes one of this format, with all that it had', async () => {
  const file = temporaryFile()
  const log = await Log.open(file, { epoch: 'first1', history: { maxChannels: 2 } })
  log.append(0, 'a1', 'b1', 'c1', 'c2')
  log.close()
  const db = (await loadDriver()).open(file)
  db.exec(`
    DROP INDEX channel_quota; DROP INDEX event_quota;
    ALTER TABLE channel DROP COLUMN quota; ALTER TABLE event DROP COLUMN quota;
    ALTER TABLE hub RENAME COLUMN expired_rows TO hidden; ALTER TABLE hub RENAME COLUMN exceptions TO special;
    ALTER TABLE hub ADD COLUMN floor INTEGER NOT NULL DEFAULT 0; UPDATE hub SET floor = (SELECT floor FROM entry);
    DROP TABLE entry; PRAGMA user_version = 1`)
  db.close()
  const after = { epoch: 'first1', seq: 0 }
  const again = await Log.open(file, { epoch: 'second', history: { channels: { 'board.>': { maxBytes: 1_000 } } } })
  const all = selector('a', 'b', 'c', 'board.x')
  expect(again.after(after, all)).toEqual(['lost a board.x to 1', 'b1', 'c1', 'c2'])
  again.append(0, 'board.x1', 'a2')
  expect(again.after(after, all)).toEqual(['lost a board.x to 1', 'b1', 'c1', 'c2', 'board.x1', 'a2'])
  again.close()
})

describe('sqliteBroker()', () => {
  it.each([
    [{}, /file/],
    [{ file: '' }, /file/],
    [{ file: ':memory:' }, /file/],
    [{ file: 5 }, /file/],
    [{ file: 'a\0b' }, /file/],
    [{ file: 'a', history: { maxEvents: -1 } }, /history\.maxEvents/],
    [{ file: 'a', durability: 'none' }, /durability/],
    [{ file: 'a', clock: {} }, /clock/],
    [{ file: 'a', fiel: 'b' }, /fiel/],
    [undefined, /file/],
  ])('names the mistake in %j', (options, message) => {
    expect(() => sqliteBroker(options as never)).toThrow(TypeError)
    expect(() => sqliteBroker(options as never)).toThrow(message)
  })

  it('serves one hub, and no call before it is started', async () => {
    const { broker } = await Started.open(WORKER_BUILT, { file: temporaryFile() })
    await expect(broker.start(listener)).rejects.toThrow(TypeError)
    const other = brokerOf(WORKER_BUILT, { file: temporaryFile() })
    await expect(other.publish([[event('a1')]])).rejects.toMatchObject({ code: UNAVAILABLE })
    await other.close()
    await expect(other.start(listener)).rejects.toMatchObject({ code: UNAVAILABLE })
  })

  it('can be closed while it starts', async () => {
    const broker = brokerOf(WORKER_BUILT, { file: temporaryFile() })
    const starting = broker.start(listener)
    await broker.close()
    await expect(starting).resolves.toMatchObject({ seq: 0 })
    await expect(broker.publish([[event('a1')]])).rejects.toMatchObject({ code: UNAVAILABLE })
  })
})
