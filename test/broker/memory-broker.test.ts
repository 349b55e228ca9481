import { describe, expect, it } from 'vitest'
import { memoryBroker } from '../../src/broker/memory-broker.ts'
import { brokerContract } from '../../src/testing/broker-contract.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'

describe('the memory broker', () => {
  brokerContract((options) => memoryBroker(options), { describe, it })

  it('is another life of a log each time', () => {
    expect(memoryBroker().top().epoch).not.toBe(memoryBroker().top().epoch)
  })

  it('serves one hub', async () => {
    const broker = memoryBroker()
    const listener = { events: () => {}, suspect: () => {} }
    await broker.start(listener)
    await expect(broker.start(listener)).rejects.toThrow(TypeError)
    await broker.close()
    await expect(memoryBroker().start(listener)).resolves.toBeUndefined()
  })

  it('lets go of its timers', async () => {
    const clock = manualClock()
    const broker = memoryBroker({ clock })
    const event = {
      channel: 'a',
      event: undefined,
      data: '1',
      json: true,
      conflationKey: undefined,
      idempotencyKey: undefined,
    }
    await broker.publish([[{ ...event, fields: 'data: 1\n\n' }]])
    expect(clock.pendingTimers).toBe(1)
    await broker.close()
    expect(clock.pendingTimers).toBe(0)
  })

  it.each([
    [{ history: { maxEvents: -1 } }, /history\.maxEvents/],
    [{ history: { maxAgeMs: 1.5 } }, /history\.maxAgeMs/],
    [{ history: { maxBytes: '1' } }, /history\.maxBytes/],
    [{ history: { maxChannels: 0 } }, /history\.maxChannels/],
    [{ history: { channels: { 'a b': {} } } }, /"a b"/],
    [{ history: { channels: { a: { maxEvents: -1 } } } }, /history\.channels\["a"\]\.maxEvents/],
    [{ history: { channels: { a: { maxBytes: 1 } } } }, /maxBytes/],
    [{ histroy: {} }, /histroy/],
    [{ clock: {} }, /clock/],
  ])('names what is wrong with %j', (options, message) => {
    expect(() => memoryBroker(options as never)).toThrow(message)
  })
})
