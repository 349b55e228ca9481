import { describe, expect, it } from 'vitest'
import { isLoss, type NewEvent, type Receipt, type Selector } from '../../src/broker/broker.ts'
import { memoryBroker } from '../../src/broker/memory-broker.ts'
import type { Cursor } from '../../src/protocol/cursor.ts'
import { brokerContract } from '../../src/testing/broker-contract.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'

const all: Selector = { channels: [], patterns: ['>'], matches: () => true }

function newEvent(channel: string): NewEvent {
  const none = { event: undefined, conflationKey: undefined, idempotencyKey: undefined }
  return { channel, data: '1', json: true, fields: 'data: 1\n\n', bytes: 9, ...none }
}

describe('the memory broker', () => {
  brokerContract((options) => memoryBroker(options), { describe, it })

  it('starts a log with a new epoch each time', async () => {
    const listener = { events: () => {}, suspect: () => {} }
    const [one, other] = [await memoryBroker().start(listener), await memoryBroker().start(listener)]
    expect(one.epoch).not.toBe(other.epoch)
  })

  it('serves one hub', async () => {
    const broker = memoryBroker()
    const listener = { events: () => {}, suspect: () => {} }
    await broker.start(listener)
    await expect(broker.start(listener)).rejects.toThrow(TypeError)
    await broker.close()
    await expect(memoryBroker().start(listener)).resolves.toMatchObject({ seq: 0 })
  })

  it('clears its timers, also when a publish is in progress', async () => {
    const clock = manualClock()
    const broker = memoryBroker({ clock })
    expect(clock.pendingTimers).toBe(0)
    await broker.publish([[newEvent('a')]])
    expect(clock.pendingTimers).toBe(1)
    await broker.close()
    expect(clock.pendingTimers).toBe(0)
    const other = memoryBroker({ clock })
    const underWay = other.publish([[newEvent('a')]])
    await other.close()
    await expect(underWay).resolves.toHaveLength(1)
    expect(clock.pendingTimers).toBe(0)
  })

  it('hands over before a publish resolves, in one call for all its groups', async () => {
    const broker = memoryBroker()
    const calls: [string[], Cursor][] = []
    const start = await broker.start({
      events: (batch, top) => calls.push([batch.map((item) => (isLoss(item) ? 'lost' : item.channel)), top]),
      suspect: () => {},
    })
    const outcomes = await broker.publish([[newEvent('a'), newEvent('b')], [newEvent('a')], []])
    expect(outcomes.map((outcome) => (outcome as readonly Receipt[]).length)).toEqual([2, 1, 0])
    expect(calls).toEqual([[['a', 'b', 'a'], { ...start, seq: 3 }]])
    await broker.publish([[]])
    await broker.publish([])
    expect(calls).toHaveLength(1)
    await broker.close()
  })

  it('keeps the very events that it hands over', async () => {
    const broker = memoryBroker()
    const handed: unknown[] = []
    const start = await broker.start({ events: (batch) => handed.push(...batch), suspect: () => {} })
    await broker.publish([[newEvent('a'), newEvent('a')]])
    const limit = { events: 10, bytes: 1_000 }
    for (const page of [await broker.read(start, all, limit), await broker.latest(2, all, limit)]) {
      expect(page.items).toHaveLength(2)
      for (const [i, item] of page.items.entries()) expect(item).toBe(handed[i])
    }
    await broker.close()
  })

  it('cannot be started once it is closed', async () => {
    const listener = { events: () => {}, suspect: () => {} }
    const other = memoryBroker()
    await other.close()
    await expect(other.start(listener)).rejects.toMatchObject({ code: 'ERR_SSE_BROKER_UNAVAILABLE' })
  })

  it('knows nothing of the positions of another one', async () => {
    const [one, other] = [memoryBroker(), memoryBroker()]
    const listener = { events: () => {}, suspect: () => {} }
    const [oneStart, otherStart] = [await one.start(listener), await other.start(listener)]
    await one.publish([[newEvent('a'), newEvent('a')]])
    await other.publish([[newEvent('a')]])
    const page = await one.read({ ...otherStart, seq: 1 }, all, { events: 10, bytes: 1_000 })
    const end = { ...oneStart, seq: 2 }
    expect(page).toEqual({ status: 'unknown-epoch', from: end, items: [], upto: end, end: true })
    await Promise.all([one.close(), other.close()])
  })

  it.each([
    [{ history: { maxEvents: -1 } }, /history\.maxEvents/],
    [{ history: { maxAgeMs: 1.5 } }, /history\.maxAgeMs/],
    [{ history: { maxBytes: '1' } }, /history\.maxBytes/],
    [{ history: { maxChannels: 0 } }, /history\.maxChannels/],
    [{ history: { channels: { 'a b': {} } } }, /"a b"/],
    [{ history: { channels: { a: { maxEvents: -1 } } } }, /history\.channels\["a"\]\.maxEvents/],
    [{ history: { channels: { a: { maxBytes: -1 } } } }, /maxBytes/],
    [{ histroy: {} }, /histroy/],
    [{ clock: {} }, /clock/],
  ])('names the mistake in %j', (options, message) => {
    expect(() => memoryBroker(options as never)).toThrow(message)
  })
})
