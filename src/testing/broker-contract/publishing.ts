import assert from 'node:assert/strict'
import type { Receipt } from '../../broker/broker.ts'
import { isSseError } from '../../errors.ts'
import { ALL, type ContractIt, event, largeEvent, selector } from './rig.ts'

/** The promises of `publish`, without keys. */
export function publishing(it: ContractIt): void {
  it('receipts have the place of each event, in order', async (open) => {
    const log = await open()
    const start = await log.end()
    const outcomes = await log.publish(['a1', 'b1'], ['a2'], ['b2', 'b3'])
    const ids = outcomes.flatMap((outcome) => (isSseError(outcome) ? [] : (outcome as readonly Receipt[])))
    assert.ok(ids.every(({ duplicate, id }) => !duplicate && id.epoch === start.epoch))
    const { items } = await log.read(start, selector('a', 'b'))
    assert.deepEqual(
      items.map(({ seq }) => seq),
      ids.map(({ id }) => id.seq),
    )
    assert.deepEqual(log.brief(items), ['a1', 'b1', 'a2', 'b2', 'b3'])
  })

  it('calls commit in call order, without waiting for one another', async (open) => {
    const log = await open()
    const start = await log.end()
    await log.broker.subscribe(selector('a', 'b'))
    const names = Array.from({ length: 50 }, (_, i) => `${i % 3 === 0 ? 'b' : 'a'}${i}`)
    const receipts = await Promise.all(names.map((name) => log.append(name)))
    await log.handedUpTo(receipts.at(-1)![0]!.id)
    assert.deepEqual(log.brief(log.handed), names)
    assert.deepEqual(await log.after(start, 'a', 'b'), names)
  })

  it('a read sees a whole group or none of it', async (open) => {
    const log = await open()
    const start = await log.end()
    const all = selector('>')
    const [publish, ...pages] = await Promise.all([
      log.append('a1', 'b1', 'a2'),
      ...Array.from({ length: 10 }, () => log.broker.read(start, all, ALL)),
    ])
    assert.equal(publish.length, 3)
    for (const { items } of pages) assert.ok(items.length === 0 || items.length === 3)
  })

  it('a refused group has its error in its place, leaves nothing, and disturbs no other', async (open) => {
    const log = await open()
    await log.append(event('a1', { idempotencyKey: 'used' }))
    const start = await log.end()
    const outcomes = await log.publish(
      ['a2'],
      [event('b1', { idempotencyKey: 'new' }), event('a3', { idempotencyKey: 'used' }), 'b2'],
      ['a4', 'b3'],
    )
    const codes = outcomes.map((outcome) => (isSseError(outcome) ? outcome.code : outcome.length))
    assert.deepEqual(codes, [1, 'ERR_SSE_IDEMPOTENCY_MISMATCH', 2])
    assert.deepEqual(await log.after(start, 'a', 'b'), ['a2', 'a4', 'b3'])
    const [receipt] = await log.append(event('b4', { idempotencyKey: 'new' }))
    assert.equal(receipt!.duplicate, false, 'a refused group does not use up its keys')
  })

  it('a group of 1,000 events, or of 1 MiB, is one commit', async (open) => {
    const log = await open()
    const start = await log.end()
    await log.broker.subscribe(selector('a'))
    const many = Array.from({ length: 1_000 }, (_, i) => `a${i}`)
    assert.equal((await log.deliver(...many)).length, 1_000)
    assert.equal((await log.deliver(largeEvent('b1', 524_000), largeEvent('b2', 524_000))).length, 2)
    assert.deepEqual(await log.after(start, 'a'), many)
    assert.deepEqual(log.brief(log.handed.filter(({ channel }) => channel === 'a')), many)
  })
}
