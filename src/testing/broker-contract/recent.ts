import assert from 'node:assert/strict'
import type { Cursor } from '../../protocol/cursor.ts'
import { ALL, type ContractIt, largeEvent, type Rig, selector } from './rig.ts'

/** Subscribes, and reads to the end: from there on memory may be asked. */
async function join(log: Rig, ...names: readonly string[]): Promise<{ of: ReturnType<typeof selector>; at: Cursor }> {
  const of = selector(...names)
  await log.broker.subscribe(of)
  const { upto } = await log.read(await log.end(), of)
  await log.handedUpTo(upto)
  return { of, at: upto }
}

/** What `recent` promises. */
export function recent(it: ContractIt): void {
  it('it gives what read gives, from every position that was handed over since', async (open) => {
    const log = await open()
    const { of, at } = await join(log, 'a', 'p.*')
    const receipts = await log.deliver('a1', 'b1', 'p.x1', 'a2', 'b2', 'p.y1', 'a3')
    for (const from of [at, ...receipts.map(({ id }) => id)]) {
      const [fromMemory, fromLog] = [await log.recent(from, of), await log.read(from, of)]
      assert.deepEqual(log.brief(fromMemory.items), log.brief(fromLog.items))
      assert.deepEqual(
        fromMemory.items.map(({ seq }) => seq),
        fromLog.items.map(({ seq }) => seq),
      )
    }
  })

  it('it gives the events that were handed over, with their frames', async (open) => {
    const log = await open()
    const { of, at } = await join(log, 'a')
    await log.deliver('a1', 'a2')
    const { items } = await log.recent(at, of)
    assert.equal(items.length, 2)
    for (const [i, item] of items.entries()) {
      assert.ok(!('channels' in item))
      assert.equal(item.frame, log.handed[i]!.frame)
    }
  })

  it('its end is top(), and from there it is empty', async (open) => {
    const log = await open()
    const { of, at } = await join(log, 'a')
    await log.deliver('a1', 'b1')
    const { upto } = await log.recent(at, of)
    assert.deepEqual(upto, log.broker.top())
    assert.deepEqual(log.broker.recent(upto, of, ALL), { status: 'ok', from: upto, items: [], upto, end: true })
  })

  it('a position that latest() reached serves as well', async (open) => {
    const log = await open()
    await log.deliver('a1')
    const of = selector('a')
    await log.broker.subscribe(of)
    const { upto } = await log.broker.latest(1, of, ALL)
    await log.handedUpTo(upto)
    await log.deliver('a2')
    assert.deepEqual(log.brief((await log.recent(upto, of)).items), ['a2'])
  })

  it('it has what retention has dropped', async (open) => {
    const log = await open({ history: { maxEvents: 1, maxBytes: 16_000 } })
    const { of, at } = await join(log, 'a')
    await log.deliver('a1', 'a2', largeEvent('a3', 5_000), 'a4')
    assert.equal((await log.recent(at, of)).items.length, 4)
    assert.equal((await log.read(at, of)).items.length, 2)
  })

  it('its pages are limited like those of read, with one event of any size', async (open) => {
    const log = await open()
    const { of, at } = await join(log, 'a', 'b')
    const events = ['a1', 'b1', 'a2', 'b2'].map((name) => largeEvent(name, 1_000))
    await log.deliver(...events, 'c1')
    for (const [max, most] of [
      [{ ...ALL, events: 1 }, 1],
      [{ ...ALL, events: 3 }, 3],
      [{ ...ALL, bytes: 1 }, 1],
      [{ ...ALL, bytes: 2_500 }, 2],
    ] as const) {
      const page = log.broker.recent(at, of, max)!
      assert.ok(page.items.length > 0 && page.items.length <= most)
      assert.equal(page.end, false)
      assert.equal((await log.recent(at, of, max)).items.length, 4)
    }
  })

  it('it is undefined for a position of another log', async (open) => {
    const log = await open()
    const { of, at } = await join(log, 'a')
    await log.deliver('a1')
    const epoch = at.epoch === 'zzzzzz' ? 'yyyyyy' : 'zzzzzz'
    assert.equal(log.broker.recent({ epoch, seq: at.seq }, of, ALL), undefined)
  })

  it('it is undefined where memory does not reach back to', async (open) => {
    const log = await open()
    const { of, at } = await join(log, 'a')
    for (let i = 0; i < 11; i++) {
      const last = await log.append(...Array.from({ length: 1_000 }, (_, j) => `a${i * 1_000 + j}`))
      await log.handedUpTo(last.at(-1)!.id)
    }
    assert.equal(log.broker.recent(at, of, ALL), undefined)
    assert.equal((await log.recent(log.broker.top(), of)).items.length, 0)
  })
}
