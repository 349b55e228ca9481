import assert from 'node:assert/strict'
import type { NewEvent } from '../../broker/broker.ts'
import { isSseError } from '../../errors.ts'
import { manualClock } from '../manual-clock.ts'
import { type ContractIt, event, type Rig } from './rig.ts'

const TEN_MINUTES_MS = 600_000

function keyed(name: string, idempotencyKey: string, given: Partial<NewEvent> = {}): NewEvent {
  return event(name, { idempotencyKey, ...given })
}

/** The outcome of one event: the code of its refusal, or whether it is a duplicate. */
async function outcomeOf(log: Rig, event: NewEvent): Promise<string> {
  const [outcome] = await log.publish([event])
  if (isSseError(outcome)) return outcome.code
  return outcome![0]!.duplicate ? 'duplicate' : 'new'
}

/** The promises of `publish` for idempotency keys. */
export function keys(it: ContractIt): void {
  it('a repeat gets the first receipt, and nothing is appended or handed over', async (open) => {
    const log = await open()
    const start = await log.end()
    const [first] = await log.deliver(keyed('a1', 'k'))
    const end = await log.end()
    const [repeat] = await log.append(keyed('a1', 'k'))
    assert.deepEqual(repeat, { id: first!.id, duplicate: true })
    assert.deepEqual(await log.end(), end)
    await log.deliver('a2')
    assert.deepEqual(await log.after(start, 'a'), ['a1', 'a2'])
    assert.ok(log.brief(log.handed).filter((name) => name === 'a1').length <= 1)
  })

  it('a repeat while the first is in progress gets its receipt', async (open) => {
    const log = await open()
    const start = await log.end()
    const [[first], [second]] = await Promise.all([log.append(keyed('a1', 'k')), log.append(keyed('a1', 'k'))])
    assert.deepEqual(second, { id: first!.id, duplicate: true })
    assert.deepEqual(await log.after(start, 'a'), ['a1'])
  })

  it('a repeat within one group, and in a later group of the same call, is a duplicate', async (open) => {
    const log = await open()
    const start = await log.end()
    const outcomes = await log.publish(
      [keyed('a1', 'k'), keyed('a1', 'k'), keyed('a2', 'l')],
      [keyed('a2', 'l'), 'a3'],
      [keyed('a4', 'k')],
    )
    const told = outcomes.map((outcome) => (isSseError(outcome) ? outcome.code : outcome.map((r) => r.duplicate)))
    assert.deepEqual(told, [[false, true, false], [true, false], 'ERR_SSE_IDEMPOTENCY_MISMATCH'])
    assert.deepEqual(await log.after(start, 'a'), ['a1', 'a2', 'a3'])
  })

  it('a key used for two payloads in one group refuses the group', async (open) => {
    const log = await open()
    const start = await log.end()
    const [outcome] = await log.publish([keyed('a1', 'k'), keyed('a2', 'k')])
    assert.ok(isSseError(outcome) && outcome.code === 'ERR_SSE_IDEMPOTENCY_MISMATCH')
    assert.deepEqual(await log.after(start, 'a'), [])
  })

  it('a batch that is repeated with more lines appends only the new lines', async (open) => {
    const log = await open()
    const start = await log.end()
    const line = (i: number) => keyed(`a${i}`, `k\0${i}`)
    const first = await log.append(line(0), line(1))
    const second = await log.append(line(0), line(1), line(2))
    assert.deepEqual(
      second.map(({ duplicate }) => duplicate),
      [true, true, false],
    )
    assert.deepEqual(
      second.slice(0, 2).map(({ id }) => id),
      first.map(({ id }) => id),
    )
    assert.deepEqual(await log.after(start, 'a'), ['a0', 'a1', 'a2'])
  })

  it('keys are scoped to their channel', async (open) => {
    const log = await open()
    const start = await log.end()
    assert.equal(await outcomeOf(log, keyed('a1', 'k')), 'new')
    assert.equal(await outcomeOf(log, keyed('b1', 'k')), 'new')
    assert.equal(await outcomeOf(log, keyed('b1', 'k')), 'duplicate')
    assert.equal(await outcomeOf(log, event('b2', { data: 'b2' })), 'new')
    assert.deepEqual(await log.after(start, 'a', 'b'), ['a1', 'b1', 'b2'])
  })

  it('a payload is the data, whether it is JSON, the event type and the conflation key', async (open) => {
    const log = await open()
    const start = await log.end()
    const payload = { data: '5', json: false, event: 'type', conflationKey: 'price' }
    assert.equal(await outcomeOf(log, keyed('a', 'k', payload)), 'new')
    const others: Partial<NewEvent>[] = [
      { data: '6' },
      { data: '' },
      { json: true },
      { event: 'other' },
      { event: undefined },
      { conflationKey: 'other' },
      { conflationKey: undefined },
    ]
    for (const other of others) {
      const outcome = await outcomeOf(log, keyed('a', 'k', { ...payload, ...other }))
      assert.equal(outcome, 'ERR_SSE_IDEMPOTENCY_MISMATCH', JSON.stringify(other))
    }
    assert.equal(await outcomeOf(log, keyed('a', 'k', payload)), 'duplicate')
    assert.deepEqual(await log.after(start, 'a'), ['5'])
  })

  it('keys are kept for 10 minutes, even if their events are not', async (open) => {
    const clock = manualClock()
    const log = await open({ clock, history: { maxEvents: 0 } })
    assert.equal(await outcomeOf(log, keyed('a1', 'k')), 'new')
    clock.advance(TEN_MINUTES_MS - 1_000)
    assert.equal(await outcomeOf(log, keyed('a1', 'k')), 'duplicate')
    assert.equal(await outcomeOf(log, keyed('a2', 'k')), 'ERR_SSE_IDEMPOTENCY_MISMATCH')
    clock.advance(2_000)
    assert.equal(await outcomeOf(log, keyed('a2', 'k')), 'new')
  })
}
