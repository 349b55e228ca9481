import { describe, expect, it } from 'vitest'
import type { NewEvent } from '../../src/broker/broker.ts'
import { SseError } from '../../src/errors.ts'
import { assertBatch, newEvent, Publisher } from '../../src/hub/publisher.ts'
import { ScriptedBroker } from '../support/scripted-broker.ts'

const event = (data: unknown = 1, options = {}) => newEvent('a', data, options, 1_048_576)
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A broker that records its calls, and answers as the test sets it up. */
class RecordingBroker extends ScriptedBroker {
  readonly calls: (readonly (readonly NewEvent[])[])[] = []
  answer: (groups: readonly (readonly NewEvent[])[]) => unknown = (groups) =>
    groups.map((group) => group.map(() => 'receipt'))

  override async publish(groups: readonly (readonly NewEvent[])[]): Promise<never> {
    this.calls.push(groups)
    return this.answer(groups) as never
  }
}

describe('an event', () => {
  it.each([
    [{ event: 'hub.x' }, 'ERR_SSE_EVENT_TYPE'],
    [{ event: 'a\nb' }, 'ERR_SSE_EVENT_TYPE'],
    [{ idempotencyKey: '' }, 'ERR_SSE_IDEMPOTENCY_KEY'],
    [{ idempotencyKey: 'ä' }, 'ERR_SSE_IDEMPOTENCY_KEY'],
    [{ idempotencyKey: 'x'.repeat(201) }, 'ERR_SSE_IDEMPOTENCY_KEY'],
    [{ conflationKey: '' }, 'ERR_SSE_CONFLATION_KEY'],
    [{ conflationKey: 'x'.repeat(201) }, 'ERR_SSE_CONFLATION_KEY'],
    [{ conflationKey: 5 }, 'ERR_SSE_CONFLATION_KEY'],
  ])('with %j is refused', (options, code) => {
    expect(() => event(1, options)).toThrow(expect.objectContaining({ code }))
  })

  it('is refused when it is too large once encoded, to the byte', () => {
    const fields = (text: string) => `data: ${text}\n\n`
    expect(newEvent('a', 'xyz', {}, fields('xyz').length).fields).toBe(fields('xyz'))
    expect(() => newEvent('a', 'xyz', {}, fields('xyz').length - 1)).toThrow(
      expect.objectContaining({ code: 'ERR_SSE_EVENT_TOO_LARGE' }),
    )
    expect(() => newEvent('a', '\n'.repeat(200_000), {}, 1_048_576)).toThrow(/maxEventBytes/)
  })

  it('refuses an unknown option, and data without a text', () => {
    expect(() => event(1, { evnt: 'x' })).toThrow(/evnt/)
    expect(() => newEvent('a', undefined, {}, 1_000)).toThrow(TypeError)
    expect(() => event(new Map())).toThrow(TypeError)
  })
})

it('a batch has at most 1,000 events and 1 MiB', () => {
  expect(() => assertBatch(Array.from({ length: 1_000 }, () => event()))).not.toThrow()
  expect(() => assertBatch(Array.from({ length: 1_001 }, () => event()))).toThrow(
    expect.objectContaining({ code: 'ERR_SSE_BATCH_TOO_LARGE' }),
  )
  const large = event('x'.repeat(600_000))
  expect(() => assertBatch([large, large])).toThrow(expect.objectContaining({ code: 'ERR_SSE_BATCH_TOO_LARGE' }))
})

describe('the publisher', () => {
  it('passes the events of one turn in one call, one group for each publish', async () => {
    const broker = new RecordingBroker()
    const publisher = new Publisher(broker, Promise.resolve())
    await Promise.all([publisher.publish([event()]), publisher.publish([event(), event()])])
    expect(broker.calls.map((groups) => groups.map((group) => group.length))).toEqual([[1, 2]])
  })

  it('begins a new call after 1,000 events or 1 MiB, never inside a group', async () => {
    const broker = new RecordingBroker()
    const publisher = new Publisher(broker, Promise.resolve())
    const group = (size: number) => publisher.publish(Array.from({ length: size }, () => event()))
    await Promise.all([group(600), group(400), group(1), group(999), group(2)])
    expect(broker.calls.map((groups) => groups.map((group) => group.length))).toEqual([[600, 400], [1, 999], [2]])
    broker.calls.length = 0
    const large = event('x'.repeat(700_000))
    await Promise.all([publisher.publish([large]), publisher.publish([large])])
    expect(broker.calls).toHaveLength(2)
  })

  it('rejects the group that was refused and no other', async () => {
    const broker = new RecordingBroker()
    const refusal = new SseError('ERR_SSE_IDEMPOTENCY_MISMATCH', 'no')
    broker.answer = (groups) => groups.map((group, i) => (i === 1 ? refusal : group.map(() => i)))
    const publisher = new Publisher(broker, Promise.resolve())
    const outcomes = await Promise.allSettled([1, 2, 3].map(() => publisher.publish([event()])))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
    expect(outcomes[1]).toMatchObject({ reason: refusal })
  })

  it('rejects all of a call that failed, and is settled then', async () => {
    const broker = new RecordingBroker()
    broker.answer = () => Promise.reject(new Error('disk'))
    const publisher = new Publisher(broker, Promise.resolve())
    const outcomes = Promise.allSettled([publisher.publish([event()]), publisher.publish([event()])])
    await publisher.settled()
    expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected'])
    await publisher.settled()
  })

  it('waits for the broker to be ready, and fails with its error', async () => {
    const broker = new RecordingBroker()
    let up = () => {}
    const publisher = new Publisher(
      broker,
      new Promise((resolve) => {
        up = resolve
      }),
    )
    const published = publisher.publish([event()])
    await turn()
    await turn()
    expect(broker.calls).toEqual([])
    up()
    await published
    const down = Promise.reject(new Error('never'))
    down.catch(() => {})
    await expect(new Publisher(broker, down).publish([event()])).rejects.toThrow('never')
  })
})
