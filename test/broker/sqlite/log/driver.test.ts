import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'
import { DriverMissing, type DriverName, loadDriver, sqliteCode } from '../../../../src/broker/sqlite/log/driver.ts'
import { selector } from '../../support.ts'
import { temporaryFile, temporaryFolder } from '../support.ts'
import { ENTRY_BUILT } from '../thread/built-workers.ts'
import { event, Log } from './log.ts'

const hasBuiltin = process.getBuiltinModule?.('node:sqlite') !== undefined
// On a Node with both, both are run; better-sqlite3 12 is the one of Node 20.
const drivers: DriverName[] = hasBuiltin ? ['node:sqlite', 'better-sqlite3'] : ['better-sqlite3']

describe.each(drivers)('a log by %s', (name) => {
  it('keeps every text, and numbers of any size', async () => {
    const log = await Log.open(temporaryFile(), { driver: await loadDriver(name), wallTime: Date.UTC(2100, 0) })
    const texts = ['', '\0', 'a\0b', ' \u2028\u{1f600}ä\r\n', 'x'.repeat(1_000_000)]
    const events = texts.map((data, i) => ({
      ...event('a1', { data, json: i % 2 === 0, event: i === 0 ? undefined : `t${i}ä`, idempotencyKey: `k\0${i}` }),
      conflationKey: i === 0 ? undefined : `key\0${i}`,
    }))
    const time = log.writer.time
    expect(time).toBe(Date.UTC(2100, 0))
    log.append(time, ...events)
    const { items } = log.read(0, selector('a'))
    expect(items).toMatchObject(
      events.map(({ data, json, event, conflationKey }) => ({
        data,
        json,
        type: event ?? null,
        key: conflationKey ?? null,
      })),
    )
    expect(log.append(time, events[1]!).exceptions?.duplicates).toEqual([[0, 'aaaaaa', 2]])
    log.close()
  })

  it('numbers far more events than 32 bits count', async () => {
    const file = temporaryFile()
    const driver = await loadDriver(name)
    const before = await Log.open(file, { driver, epoch: 'first1' })
    before.append(0, 'a1')
    before.close()
    const db = driver.open(file)
    db.exec('UPDATE hub SET seq = 9000000000000')
    db.close()
    const log = await Log.open(file, { driver, epoch: 'second' })
    log.append(0, 'a2', 'a3')
    expect(log.read({ epoch: 'first1', seq: 0 }, selector('a')).items).toMatchObject([
      { seq: 1 },
      { seq: 9_000_000_000_001, prev: 1 },
      { seq: 9_000_000_000_002, prev: 9_000_000_000_001 },
    ])
    log.close()
  })

  it('has errors with the codes of SQLite', async () => {
    const db = (await loadDriver(name)).open(temporaryFile())
    db.exec('CREATE TABLE t (x UNIQUE); INSERT INTO t VALUES (1); PRAGMA query_only = ON')
    const code = (sql: string) => {
      try {
        db.exec(sql)
      } catch (error) {
        return sqliteCode(error)
      }
      return 'no error'
    }
    expect(code('INSERT INTO t VALUES (2)')).toBe('READONLY')
    expect(code('nonsense')).toBe('ERROR')
    db.close()
    expect(sqliteCode(new Error('none of its'))).toBeUndefined()
    expect(sqliteCode({ code: 'SQLITE_IOERR_FSYNC' })).toBe('IOERR')
    expect(sqliteCode({ code: 'ERR_SQLITE_ERROR', errcode: 1034 })).toBe('IOERR')
  })
})

describe('without a driver', () => {
  /** The driver module as it is in an application that has `packageJson` and `code` as better-sqlite3. */
  async function loadBeside(packageJson: object | undefined, code = ''): Promise<unknown> {
    const folder = temporaryFolder()
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
    copyFileSync(fileURLToPath(new URL('./log/driver.js', ENTRY_BUILT)), join(folder, 'driver.js'))
    if (packageJson !== undefined) {
      const installed = join(folder, 'node_modules/better-sqlite3')
      mkdirSync(installed, { recursive: true })
      writeFileSync(join(installed, 'package.json'), JSON.stringify({ main: 'index.cjs', ...packageJson }))
      writeFileSync(join(installed, 'index.cjs'), code)
    }
    const module = await import(/* @vite-ignore */ pathToFileURL(join(folder, 'driver.js')).href)
    return module.loadDriver('better-sqlite3').catch((error: Error) => error.message)
  }

  it('it is said what to install', async () => {
    const install = /npm install better-sqlite3@12, or use Node 22\.13 or newer/
    expect(await loadBeside(undefined)).toMatch(install)
    const ended = 'process.exit(1)'
    expect(await loadBeside({ version: '13.2.0' }, ended)).toMatch(/better-sqlite3 13 does not run here/)
    expect(await loadBeside({ version: '13.2.0' }, ended)).toMatch(install)
    const failing =
      'module.exports = class { constructor() { throw new Error("Could not locate the bindings file.") } }'
    expect(await loadBeside({ version: '12.0.0' }, failing)).toMatch(/cannot be loaded: npm rebuild better-sqlite3/)
  })

  it.runIf(!hasBuiltin)('that was asked for by its name, it is said', async () => {
    await expect(loadDriver('node:sqlite')).rejects.toThrow(DriverMissing)
  })
})
