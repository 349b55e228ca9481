import { copyFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { loadDriver } from '../../../../src/broker/sqlite/log/driver.ts'
import { Epochs, MAX_EPOCHS } from '../../../../src/broker/sqlite/log/epochs.ts'
import { openForWriting } from '../../../../src/broker/sqlite/log/schema.ts'
import { selector } from '../../support.ts'
import { temporaryFile } from '../support.ts'
import { ALL, Log } from './log.ts'

const a = selector('a')

/** Opens a log for one life of it, in which these events are appended. */
async function live(file: string, epoch: string, ...events: string[]): Promise<void> {
  const log = await Log.open(file, { epoch })
  log.writer.rememberEpoch(0)
  for (const event of events) log.append(0, event)
  log.close()
}

describe('a life of the log', () => {
  it('is remembered with its end: a position up to it resumes', async () => {
    const file = temporaryFile()
    await live(file, 'first1', 'a1', 'a2')
    await live(file, 'second', 'a3')
    const log = await Log.open(file, { epoch: 'third3' })
    for (const seq of [0, 1, 2]) {
      expect(log.read({ epoch: 'first1', seq }, a)).toMatchObject({ status: 'ok', from: seq, upto: 3, end: true })
    }
    expect(log.after({ epoch: 'first1', seq: 1 }, a)).toEqual(['a2', 'a3'])
    expect(log.after({ epoch: 'second', seq: 2 }, a)).toEqual(['a3'])
    expect(log.after({ epoch: 'second', seq: 3 }, a)).toEqual([])
    log.close()
  })

  it('has diverged positions past its end, which continue with the events after it', async () => {
    const file = temporaryFile()
    await live(file, 'first1', 'a1', 'a2')
    await live(file, 'second', 'a3')
    const log = await Log.open(file, { epoch: 'third3' })
    const page = log.read({ epoch: 'first1', seq: 3 }, a)
    expect(page).toMatchObject({ status: 'diverged', from: 2, upto: 3, end: true })
    expect(page.items).toMatchObject([{ seq: 3, data: 'a3' }])
    log.append(0, 'a4')
    expect(log.read({ epoch: 'second', seq: 4 }, a)).toMatchObject({ status: 'diverged', from: 3, upto: 4 })
    expect(log.read({ epoch: 'third3', seq: 5 }, a)).toMatchObject({ status: 'diverged', from: 4, items: [], upto: 4 })
    log.close()
  })

  it('that is unknown continues from the end', async () => {
    const file = temporaryFile()
    await live(file, 'first1', 'a1', 'a2')
    const log = await Log.open(file, { epoch: 'second' })
    expect(log.read({ epoch: 'other0', seq: 1 }, a)).toEqual({
      status: 'unknown-epoch',
      from: 2,
      items: [],
      upto: 2,
      end: true,
    })
    log.close()
  })

  it('is a new one in a copy, which reports the events it lacks', async () => {
    const [file, copy] = [temporaryFile(), temporaryFile()]
    await live(file, 'first1', 'a1', 'a2')
    copyFileSync(file, copy)
    await live(file, 'second', 'a3', 'a4')
    await live(copy, 'third3', 'a5')
    const log = await Log.open(copy, { epoch: 'fourth' })
    expect(log.after({ epoch: 'first1', seq: 2 }, a)).toEqual(['a5'])
    expect(log.read({ epoch: 'second', seq: 4 }, a)).toMatchObject({ status: 'unknown-epoch', from: 3 })
    log.close()
  })

  it('that is copied while it lasts ends in the copy where that was made', async () => {
    const [file, copy] = [temporaryFile(), temporaryFile()]
    const log = await Log.open(file, { epoch: 'first1' })
    log.append(0, 'a1', 'a2')
    const db = openForWriting(await loadDriver(), file, 'full')
    db.prepare('VACUUM INTO ?').run(copy)
    db.close()
    log.append(0, 'a3', 'a4')
    log.close()
    const restored = await Log.open(copy, { epoch: 'second' })
    restored.append(0, 'a5')
    expect(restored.after({ epoch: 'first1', seq: 2 }, a)).toEqual(['a5'])
    expect(restored.read({ epoch: 'first1', seq: 4 }, a)).toMatchObject({ status: 'diverged', from: 2, upto: 3 })
    restored.close()
  })

  it('that gave out no position leaves no trace', async () => {
    const file = temporaryFile()
    await live(file, 'first1', 'a1')
    for (let i = 0; i < 5; i++) (await Log.open(file, { epoch: `empty${i}` })).close()
    const log = await Log.open(file, { epoch: 'second' })
    expect(log.read({ epoch: 'empty3', seq: 1 }, a).status).toBe('unknown-epoch')
    expect(log.read({ epoch: 'first1', seq: 1 }, a).status).toBe('ok')
    log.append(0, 'a2')
    expect(log.read({ epoch: 'first1', seq: 2 }, a).status).toBe('diverged')
    log.close()
  })

  it('is remembered while 4,096 follow', async () => {
    const file = temporaryFile()
    await live(file, 'first1', 'a1')
    const db = openForWriting(await loadDriver(), file, 'normal')
    const begin = (from: number, to: number) => {
      db.exec('BEGIN')
      for (let i = from; i < to; i++) {
        const epochs = new Epochs(db, `e${String(i).padStart(5, '0')}`)
        epochs.reload()
        epochs.remember(1)
        epochs.remember(99)
      }
      db.exec('COMMIT')
    }
    begin(1, MAX_EPOCHS)
    const log = await Log.open(file, { epoch: 'reader' })
    const status = (epoch: string) => log.reader.read('reader', { epoch, seq: 1 }, a, ALL, 0).status
    expect(status('first1')).toBe('ok')
    expect(status('e00001')).toBe('ok')
    begin(MAX_EPOCHS, MAX_EPOCHS + 1)
    expect(status('first1')).toBe('unknown-epoch')
    expect(status('e00001')).toBe('ok')
    expect(status('e04096')).toBe('ok')
    log.close()
    db.close()
  })
})
