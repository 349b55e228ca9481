import { describe, expect, it, vi } from 'vitest'
import type { SqliteBrokerOptions } from '../../../src/broker/sqlite/options.ts'
import { manualClock } from '../../../src/testing/manual-clock.ts'
import { selector } from '../support.ts'
import { ALL, event } from './log/log.ts'
import { plan, planReader, Started, temporaryFile } from './support.ts'
import { FAULTY_WORKER_BUILT } from './thread/built-workers.ts'

const all = selector('>')
const UNAVAILABLE = 'ERR_SSE_BROKER_UNAVAILABLE'
const UNKNOWN = 'ERR_SSE_PUBLISH_UNKNOWN'

async function open(options: Partial<SqliteBrokerOptions> = {}) {
  const file = temporaryFile()
  const clock = manualClock()
  const started = await Started.open(FAULTY_WORKER_BUILT, { file, clock, ...options })
  const start = started.top
  const kept = async () => {
    const { items } = await started.broker.read(start, all, ALL)
    return items.map((item) => ('channels' in item ? `lost to ${item.seq}` : item.data))
  }
  return { file, clock, started, kept }
}

describe('a commit that fails', () => {
  it('is refused, and the next one is not', async () => {
    const { file, started, kept } = await open()
    expect(await started.publish('a1')).toBe('1')
    plan(file, [{ at: 'insert', what: 'IOERR' }])
    expect(await started.publish('a2', 'b1')).toBe(UNAVAILABLE)
    expect(await started.publish('a3')).toBe('2')
    expect(started.told).toEqual(['a1 to 1', 'a3 to 2'])
    expect(await kept()).toEqual(['a1', 'a3'])
  })

  it('but has reached the disk is a commit', async () => {
    const { file, started, kept } = await open()
    plan(file, [{ at: 'after commit', what: 'IOERR_FSYNC' }])
    expect(await started.publish('a1', 'b1')).toBe('1 2')
    expect(started.told).toEqual(['a1 b1 to 2'])
    expect(await kept()).toEqual(['a1', 'b1'])
  })

  it('and cannot be asked about is unknown, and handed over as soon as it is known, though nothing follows', async () => {
    const { file, clock, started, kept } = await open()
    expect(await started.publish('a1')).toBe('1')
    plan(file, [
      { at: 'after commit', what: 'IOERR_FSYNC' },
      { at: 'open', what: 'CANTOPEN', times: 3 },
    ])
    expect(await started.publish(event('a2', { idempotencyKey: 'k' }))).toBe(UNKNOWN)
    expect(started.told).toEqual(['a1 to 1'])
    await vi.waitFor(() => {
      clock.advance(5_000)
      expect(started.told).toEqual(['a1 to 1', 'suspect from 1 to 2'])
    })
    expect(await kept()).toEqual(['a1', 'a2'])
    expect(await started.publish(event('a2', { idempotencyKey: 'k' }), 'a3')).toBe('2 again 3')
    expect(started.told.at(-1)).toBe('a3 to 3')
  })

  it('and was not kept is followed by others without a gap', async () => {
    const { file, started, kept } = await open()
    plan(file, [
      { at: 'before commit', what: 'IOERR_FSYNC' },
      { at: 'open', what: 'CANTOPEN' },
    ])
    expect(await started.publish('a1')).toBe(UNKNOWN)
    expect(await started.publish('a2')).toBe('1')
    expect(started.told).toEqual(['a2 to 1'])
    expect(await kept()).toEqual(['a2'])
  })

  it('fails all that was in it, and nothing that waited for it', async () => {
    const { file, started } = await open()
    plan(file, [{ at: 'insert', what: 'IOERR' }])
    const outcomes = await Promise.all([started.publish('a1'), started.publish('a2', 'b1'), started.publish('a3')])
    expect(outcomes).toEqual([UNAVAILABLE, '1 2', '3'])
    expect(started.told).toEqual(['a2 b1 a3 to 3'])
  })
})

describe('a disk without room', () => {
  it('refuses a whole publish that does not fit, still serves its events, and resumes when there is space', async () => {
    const { file, clock, started, kept } = await open({ history: { maxEvents: 10_000 } })
    const group = (name: string) =>
      Array.from({ length: 200 }, (_, i) => event(`${name}${i}`, { data: `${name} ${'x'.repeat(400)}` }))
    plan(file, [], 60)
    const outcomes: string[] = []
    for (let i = 0; i < 6; i++) outcomes.push(await started.publish(...group(`g${i}`)))
    const fitted = outcomes.filter((outcome) => outcome !== UNAVAILABLE).length
    expect(fitted).toBeGreaterThan(0)
    expect(fitted).toBeLessThan(6)
    expect((await kept()).length).toBe(200 * fitted)
    // Sweeps continue without an error.
    clock.advance(5_000)
    plan(file, [])
    expect(await started.publish('last1')).toBe(`${200 * fitted + 1}`)
    expect((await kept()).length).toBe(200 * fitted + 1)
    expect(started.told).toHaveLength(fitted + 1)
  })
})

describe('a thread that dies', () => {
  it('before its commit has kept nothing, and another one takes its place', async () => {
    const { file, started, kept } = await open()
    expect(await started.publish('a1')).toBe('1')
    plan(file, [{ at: 'insert', what: 'exit' }])
    const outcomes = await Promise.all([started.publish('a2'), started.publish('a3'), started.publish('a4')])
    expect(outcomes).toEqual([UNAVAILABLE, '2', '3'])
    expect(started.told).toEqual(['a1 to 1', 'a3 a4 to 3'])
    expect(await kept()).toEqual(['a1', 'a3', 'a4'])
  })

  it('after its commit has kept it: the receipts are those of the file', async () => {
    const { file, started, kept } = await open()
    expect(await started.publish(event('a1', { idempotencyKey: 'k' }))).toBe('1')
    plan(file, [{ at: 'after commit', what: 'exit' }])
    const events = ['b1', event('a1', { idempotencyKey: 'k' }), 'b2'].map((one) =>
      typeof one === 'string' ? event(one) : one,
    )
    const mismatch = event('other', { channel: 'a', idempotencyKey: 'k' })
    const outcomes = await started.broker.publish([events, [mismatch], [event('b3')]])
    const { epoch } = started.top
    const id = (seq: number, duplicate = false) => ({ id: { epoch, seq }, duplicate })
    expect(outcomes).toMatchObject([[id(2), id(1, true), id(3)], { code: 'ERR_SSE_IDEMPOTENCY_MISMATCH' }, [id(4)]])
    expect(started.told).toEqual(['a1 to 1', 'suspect from 1 to 4'])
    expect(await kept()).toEqual(['a1', 'b1', 'b2', 'b3'])
    expect(await started.publish('b4')).toBe('5')
    expect(started.told.at(-1)).toBe('b4 to 5')
  })

  it('and cannot be replaced leaves its batch unknown, and the log down until it can', async () => {
    const { file, clock, started, kept } = await open()
    plan(file, [
      { at: 'after commit', what: 'exit' },
      { at: 'open', what: 'CANTOPEN', times: 2 },
    ])
    const outcomes = await Promise.all([started.publish('a1'), started.publish('a2')])
    expect(outcomes).toEqual([UNKNOWN, UNAVAILABLE])
    expect(await started.publish('a3')).toBe(UNAVAILABLE)
    expect(started.told).toEqual([])
    await vi.waitFor(
      () => {
        clock.advance(5_000)
        expect(started.told).toEqual(['suspect from 0 to 1'])
      },
      { timeout: 30_000 },
    )
    expect(await started.publish('a4')).toBe('2')
    expect(await kept()).toEqual(['a1', 'a4'])
  })

  it('while it is idle is replaced', async () => {
    const { file, clock, started } = await open()
    await started.publish('a1')
    plan(file, [{ at: 'any write', what: 'exit' }])
    clock.advance(60_000)
    await vi.waitFor(async () => expect(await started.publish('a2')).toMatch(/^[23]$/))
    await started.broker.close()
    expect(clock.pendingTimers).toBe(0)
  })

  it('can be one whose broker is being closed', async () => {
    const { file, clock, started } = await open()
    plan(file, [
      { at: 'insert', what: 'exit' },
      { at: 'open', what: 'CANTOPEN' },
    ])
    const published = started.publish('a1')
    await started.broker.close()
    expect(await published).toBe(UNKNOWN)
    expect(clock.pendingTimers).toBe(0)
  })

  it('can be the one that reads: its reads fail, and the next one has another', async () => {
    const { file, started, kept } = await open()
    await started.publish('a1')
    planReader(file, [{ at: 'read', what: 'exit' }])
    await expect(kept()).rejects.toMatchObject({ code: UNAVAILABLE })
    expect(await kept()).toEqual(['a1'])
    planReader(file, [{ at: 'read', what: 'IOERR' }])
    await expect(kept()).rejects.toMatchObject({ code: UNAVAILABLE, detail: 'The disk of the log failed.' })
    expect(await kept()).toEqual(['a1'])
  })
})

describe('a position', () => {
  it('is not given out before its life of the log is remembered', async () => {
    const { file, started } = await open()
    plan(file, [{ at: 'before commit', what: 'IOERR' }])
    const read = () => started.broker.read(undefined, all, ALL)
    await expect(read()).rejects.toMatchObject({ code: UNAVAILABLE })
    const { upto } = await read()
    await started.broker.close()
    const next = await Started.open(FAULTY_WORKER_BUILT, { file })
    expect(await next.broker.read(upto, all, ALL)).toMatchObject({ status: 'ok' })
  })
})

it('the queue for a disk is bounded: more is refused', async () => {
  const { started } = await open({ history: { maxEvents: 0 } })
  const large = event('a1', { data: 'x'.repeat(1_000_000) })
  const outcomes = await Promise.all(Array.from({ length: 72 }, () => started.publish(large)))
  // One is in progress at once, 67 wait.
  expect(outcomes.slice(0, 68)).toEqual(Array.from({ length: 68 }, (_, i) => `${i + 1}`))
  expect(outcomes.slice(68)).toEqual(Array.from({ length: 4 }, () => UNAVAILABLE))
  expect(await started.publish(large)).toBe('69')
})
