import { describe, expect, it } from 'vitest'
import { selector } from '../../support.ts'
import { temporaryFile } from '../support.ts'
import { type Fault, faultyDriver, type Moment } from './faulty-driver.ts'
import { event, Log } from './log.ts'

/** A log whose faults a test sets. */
async function faultyLog(file = temporaryFile()): Promise<{ log: Log; faults: Fault[] }> {
  const faults: Fault[] = []
  const strike = (at: Moment) => {
    const index = faults.findIndex((fault) => fault.at === at)
    return index === -1 ? undefined : faults.splice(index, 1)[0]
  }
  const log = await Log.open(file, { driver: await faultyDriver({ strike, maxPages: () => undefined }) })
  return { log, faults }
}

const a = selector('a')
const UNAVAILABLE = expect.objectContaining({ code: 'ERR_SSE_BROKER_UNAVAILABLE' })
const UNKNOWN = expect.objectContaining({ code: 'ERR_SSE_PUBLISH_UNKNOWN' })

describe('a transaction that fails', () => {
  it.each<[string, Fault]>([
    ['where it begins', { at: 'any write', what: 'FULL' }],
    ['in the middle', { at: 'insert', what: 'IOERR' }],
    ['by a bug', { at: 'insert', what: 'throw' }],
    ['at its COMMIT, before the disk', { at: 'before commit', what: 'IOERR_FSYNC' }],
    ['at its COMMIT, on a full disk', { at: 'before commit', what: 'FULL' }],
  ])('%s leaves nothing, and the next append takes its place', async (_, fault) => {
    const { log, faults } = await faultyLog()
    log.append(1, 'a1', 'b1')
    faults.push(fault)
    expect(() => log.append(2, event('a2', { idempotencyKey: 'k' }), 'b2', 'new1')).toThrow(UNAVAILABLE)
    expect(faults).toEqual([])
    expect(log.writer.seq).toBe(2)
    expect(log.after(0, selector('>'))).toEqual(['a1', 'b1'])
    // Its key is free, its numbers are assigned again, and nothing refers to it.
    expect(log.append(3, event('a3', { idempotencyKey: 'k' }), 'new2')).toMatchObject({ endBefore: 2, prevs: [1, 0] })
    expect(log.after(0, selector('>'))).toEqual(['a1', 'b1', 'a3', 'new2'])
    log.close()
  })

  it('at its COMMIT, but has reached the disk, is answered as if nothing had been', async () => {
    const { log, faults } = await faultyLog()
    log.append(1, event('a1', { idempotencyKey: 'k' }))
    faults.push({ at: 'after commit', what: 'IOERR_FSYNC' })
    const repeat = event('a1', { idempotencyKey: 'k' })
    const answer = log.append(2, 'a2', repeat, 'b1')
    expect(answer).toMatchObject({ endBefore: 1, prevs: [1, 0], exceptions: { duplicates: [[1, 'aaaaaa', 1]] } })
    expect(log.append(3, 'a3')).toMatchObject({ endBefore: 3, prevs: [2] })
    expect(log.after(0, selector('>'))).toEqual(['a1', 'a2', 'b1', 'a3'])
    log.close()
  })

  it.each([
    ['kept', 'after commit', 2, ['a1', 'a2', 'a3']],
    ['not kept', 'before commit', 1, ['a1', 'a3']],
  ] as const)('and cannot be compared is unknown; the next answer reports that it was %s', async (...given) => {
    const [, at, endBefore, kept] = given
    const { log, faults } = await faultyLog()
    log.append(1, 'a1')
    faults.push({ at, what: 'IOERR_FSYNC' }, { at: 'open', what: 'CANTOPEN' }, { at: 'open', what: 'CANTOPEN' })
    expect(() => log.append(2, 'a2')).toThrow(UNKNOWN)
    expect(() => log.append(3, 'never')).toThrow(UNAVAILABLE)
    expect(log.writer.sweep(4)).toMatchObject({ endBefore })
    expect(log.append(5, 'a3')).toMatchObject({ endBefore, prevs: [endBefore] })
    expect(log.after(0, a)).toEqual(kept)
    log.close()
  })

  it('on a full disk is known to be nothing, also when it cannot be asked about', async () => {
    const { log, faults } = await faultyLog()
    faults.push({ at: 'before commit', what: 'FULL' }, { at: 'open', what: 'CANTOPEN' })
    expect(() => log.append(2, 'a1')).toThrow(UNAVAILABLE)
    expect(log.append(5, 'a2')).toMatchObject({ endBefore: 0, prevs: [0] })
    log.close()
  })

  it('is followed by a write that overwrites its possible remains', async () => {
    const { log, faults } = await faultyLog()
    faults.push({ at: 'before commit', what: 'IOERR_FSYNC' })
    expect(() => log.append(1, 'a1')).toThrow(UNAVAILABLE)
    // With the write refused as well, nothing is known.
    faults.push({ at: 'before commit', what: 'IOERR_FSYNC' }, { at: 'fence', what: 'IOERR' })
    expect(() => log.append(1, 'a1')).toThrow(UNKNOWN)
    expect(faults).toEqual([])
    log.close()
  })

  it('while sweeping leaves all as it was', async () => {
    const { log, faults } = await faultyLog()
    log.append(1, 'a1')
    faults.push({ at: 'before commit', what: 'IOERR' })
    expect(() => log.writer.sweep(2)).toThrow(UNAVAILABLE)
    expect(log.writer.sweep(3)).toEqual({ endBefore: 1, sweepAgain: false })
    expect(log.after(0, a)).toEqual(['a1'])
    log.close()
  })

  it('has a message without a path, and a cause for the operator', async () => {
    const { log, faults } = await faultyLog()
    faults.push({ at: 'insert', what: 'FULL' })
    let error: unknown
    try {
      log.append(1, 'a1')
    } catch (caught) {
      error = caught
    }
    expect(error).toMatchObject({ detail: 'The disk of the log is full.', status: 503 })
    expect((error as Error).cause).toMatchObject({ code: 'SQLITE_FULL' })
    log.close()
  })
})
