import { describe, expect, it } from 'vitest'
import type { NewEvent } from '../../src/broker/broker.ts'
import { idempotencyMismatch, KeyMemory, MAX_KEYS, payloadDigest, scopedKey } from '../../src/broker/idempotency.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'

const id = (seq: number) => ({ epoch: 'AAAAAA', seq })

function newEvent(given: Partial<NewEvent> = {}): NewEvent {
  const none = { event: undefined, conflationKey: undefined, idempotencyKey: 'k' }
  return { channel: 'a', data: '1', json: true, bytes: 9, fields: '', ...none, ...given }
}

describe('keys', () => {
  it('are kept 10 minutes from their first use', () => {
    const clock = manualClock()
    const keys = new KeyMemory(clock)
    keys.add('k', 'digest', id(1))
    clock.advance(300_000)
    keys.add('l', 'digest', id(2))
    clock.advance(299_999)
    expect(keys.get('k')).toMatchObject({ digest: 'digest', id: id(1) })
    clock.advance(1)
    expect(keys.get('k')).toBeUndefined()
    expect(keys.get('l')).toMatchObject({ id: id(2) })
    keys.add('k', 'other', id(3))
    expect(keys.get('k')).toMatchObject({ digest: 'other', id: id(3) })
    clock.advance(300_000)
    expect(keys.get('l')).toBeUndefined()
    expect(keys.get('k')).toBeDefined()
  })

  it('do not go by the wall clock', () => {
    const clock = manualClock()
    const keys = new KeyMemory(clock)
    keys.add('k', 'digest', id(1))
    clock.setWallTime(clock.now() + 86_400_000)
    expect(keys.get('k')).toBeDefined()
  })

  it('are 100,000 at most, and the oldest goes first', () => {
    const keys = new KeyMemory(manualClock())
    for (let i = 0; i < MAX_KEYS; i++) keys.add(`k${i}`, 'digest', id(i))
    expect(MAX_KEYS).toBe(100_000)
    expect(keys.get('k0')).toBeDefined()
    keys.add('one more', 'digest', id(MAX_KEYS))
    expect(keys.get('k0')).toBeUndefined()
    expect(keys.get('k1')).toBeDefined()
    expect(keys.get('one more')).toBeDefined()
  })

  it('belong to their channel, whatever characters they have', () => {
    const scoped = [
      { channel: 'a', idempotencyKey: 'b\0c' },
      { channel: 'a', idempotencyKey: 'b' },
      { channel: 'a.b', idempotencyKey: 'b' },
      { channel: 'b', idempotencyKey: 'a' },
      { channel: 'a', idempotencyKey: 'b\x001' },
    ].map((given) => scopedKey(newEvent(given)))
    expect(new Set(scoped).size).toBe(scoped.length)
  })
})

describe('the digest of a payload', () => {
  it('is the same for the same payload, whatever its key and its encoding', () => {
    expect(payloadDigest(newEvent())).toBe(
      payloadDigest(newEvent({ idempotencyKey: 'other', bytes: 9, fields: 'data: 1\n\n' })),
    )
  })

  it('differs with everything that a subscriber could distinguish', () => {
    const payloads: Partial<NewEvent>[] = [
      {},
      { data: '2' },
      { data: '' },
      { json: false },
      { event: 'null' },
      { event: 'type' },
      { event: 'type",true,"' },
      { conflationKey: 'null' },
      { conflationKey: 'key' },
      { event: 'key' },
      { event: 'type', conflationKey: 'key' },
      { event: 'key', conflationKey: 'type' },
      { conflationKey: 'x\n1' },
      { conflationKey: 'x', data: '\n1' },
      { data: '1\n1' },
    ]
    const digests = payloads.map((payload) => payloadDigest(newEvent(payload)))
    expect(new Set(digests).size).toBe(payloads.length)
  })
})

it('a mismatch says which channel', () => {
  expect(idempotencyMismatch('orders')).toMatchObject({ code: 'ERR_SSE_IDEMPOTENCY_MISMATCH', status: 422 })
  expect(idempotencyMismatch('orders').detail).toContain('orders')
})
