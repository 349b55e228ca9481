import assert from 'node:assert/strict'
import { isSseError } from '../../errors.ts'
import { type ContractIt, event, type Open, type Rig, selector } from './rig.ts'

const HISTORY = { channels: { 'typing.log': { maxEvents: 2 }, 'typing.*': { ephemeral: true } } }

/** A broker with ephemeral channels; undefined if this one has none, which its missing method says. */
async function openWithEphemeral(open: Open): Promise<Rig | undefined> {
  const plain = await open()
  if (plain.broker.isEphemeral === undefined) return undefined
  return open({ history: HISTORY })
}

function typing(data: string) {
  return event('typing.a', { data, ephemeral: true })
}

/** The promises of `isEphemeral`. A broker without this method has nothing to promise. */
export function ephemeral(it: ContractIt): void {
  it('a name or pattern is ephemeral if all of its channels are', async (open) => {
    const log = await openWithEphemeral(open)
    if (log === undefined) return
    const asked = ['typing.a', 'typing.log', 'typing', 'typing.a.b', 'typing.*', 'typing.>', '>', 'other']
    assert.deepEqual(
      asked.filter((name) => log.broker.isEphemeral!(name)),
      ['typing.a'],
    )
  })

  it('ephemeral events are handed over in their place, with a receipt without an ID', async (open) => {
    const log = await openWithEphemeral(open)
    if (log === undefined) return
    const start = await log.end()
    await log.broker.subscribe(selector('>'))
    const outcomes = await log.publish(['a1', typing('x'), 'a2'], [typing('y')], ['b1', typing('z')])
    const receipts = outcomes.flatMap((outcome) => (isSseError(outcome) ? [] : outcome))
    assert.deepEqual(
      receipts.map(({ id, duplicate }) => [id === null, duplicate]),
      [false, true, false, true, false, true].map((isNull) => [isNull, false]),
    )
    await log.handedUpTo(receipts[4]!.id!)
    await log.settled(() => log.live.length === 6)
    assert.deepEqual(log.live, ['a1', 'x', 'a2', 'y', 'b1', 'z'])
    assert.deepEqual(await log.after(start, '>'), ['a1', 'a2', 'b1'])
    const [first, , second] = receipts
    assert.equal(second!.id!.seq - first!.id!.seq, 1, 'an ephemeral event takes no place in the log')
  })

  it('a call of ephemeral events alone moves nothing, and keeps its place among the calls', async (open) => {
    const log = await openWithEphemeral(open)
    if (log === undefined) return
    await log.broker.subscribe(selector('>'))
    const start = await log.end()
    await Promise.all([log.append('a1'), log.append(typing('x')), log.append('a2'), log.append(typing('y'))])
    await log.settled(() => log.live.length === 4)
    assert.deepEqual(log.live, ['a1', 'x', 'a2', 'y'])
    const end = await log.end()
    await log.append(typing('z'))
    await log.settled(() => log.live.length === 5)
    assert.deepEqual(await log.end(), end)
    assert.deepEqual(await log.after(start, '>'), ['a1', 'a2'])
    assert.deepEqual((await log.broker.latest(5, selector('typing.a'), { events: 9, bytes: 9_999 })).items, [])
  })

  it('ephemeral events of a refused group are not handed over', async (open) => {
    const log = await openWithEphemeral(open)
    if (log === undefined) return
    await log.broker.subscribe(selector('>'))
    await log.append(event('a1', { idempotencyKey: 'used' }))
    const [refused] = await log.publish([typing('x'), event('a2', { idempotencyKey: 'used' })], [typing('y')])
    assert.ok(isSseError(refused))
    await log.settled(() => log.live.length >= 2)
    assert.deepEqual(log.live, ['a1', 'y'])
  })

  it('a repeated group hands its ephemeral events over again', async (open) => {
    const log = await openWithEphemeral(open)
    if (log === undefined) return
    await log.broker.subscribe(selector('>'))
    const group = [typing('x'), event('a1', { idempotencyKey: 'k' }), typing('y'), 'b1']
    await log.append(...group)
    const [receipts] = await log.publish(group)
    assert.deepEqual(
      (receipts as readonly { duplicate: boolean }[]).map(({ duplicate }) => duplicate),
      [false, true, false, false],
    )
    await log.settled(() => log.live.length === 7)
    assert.deepEqual(log.live, ['x', 'a1', 'y', 'b1', 'x', 'y', 'b1'])
  })
}
