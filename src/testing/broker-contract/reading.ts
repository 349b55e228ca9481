import assert from 'node:assert/strict'
import { ALL, type ContractIt, largeEvent, selector, withoutStart } from './rig.ts'

/** The promises of `read` while the log has every event. */
export function reading(it: ContractIt): void {
  it('a read without a position is an empty page at the end of the log', async (open) => {
    const log = await open()
    const [receipt] = await log.append('a1')
    const page = await log.broker.read(undefined, selector('a'), ALL)
    assert.equal(page.status, 'ok')
    assert.deepEqual(page.items, [])
    assert.equal(page.end, true)
    assert.deepEqual(page.from, page.upto)
    assert.ok(page.upto.seq >= receipt!.id.seq)
  })

  it('a read sees all earlier commits, also for selectors without a subscription', async (open) => {
    const log = await open()
    const start = await log.end()
    const names: string[] = []
    for (let i = 1; i <= 20; i++) {
      await log.append(`a${i}`)
      names.push(`a${i}`)
      assert.deepEqual(await log.after(start, 'a'), names)
    }
  })

  it('one position serves several channels, in the order of the log', async (open) => {
    const log = await open()
    const start = await log.end()
    const receipts = await log.append('a1', 'b1', 'c1', 'a2', 'b2', 'c2', 'a3')
    assert.deepEqual(await log.after(start, 'b', 'a'), ['a1', 'b1', 'a2', 'b2', 'a3'])
    assert.deepEqual(await log.after(receipts[3]!.id, 'a', 'b'), ['b2', 'a3'])
    assert.deepEqual(await log.after(receipts[4]!.id, 'a', 'b'), ['a3'])
    assert.deepEqual(await log.after(receipts[6]!.id, 'a', 'b'), [])
  })

  it('patterns match like channel names, and an event that matches twice is read once', async (open) => {
    const log = await open()
    const start = await log.end()
    const receipts = await log.append('p.x1', 'p1', 'p.x.deep1', 'q.x1', 'p.y1', 'p.x2')
    assert.deepEqual(await log.after(start, 'p.*'), ['p.x1', 'p.y1', 'p.x2'])
    assert.deepEqual(await log.after(start, 'p.>'), ['p.x1', 'p.x.deep1', 'p.y1', 'p.x2'])
    assert.deepEqual(await log.after(start, '*.x', 'q.*', 'p.x'), ['p.x1', 'q.x1', 'p.x2'])
    assert.deepEqual(await log.after(start, '*', 'p.y'), ['p1', 'p.y1'])
    assert.deepEqual(await log.after(receipts[2]!.id, '>'), ['q.x1', 'p.y1', 'p.x2'])
  })

  it('a channel without events is an empty page, complete up to the end of the log', async (open) => {
    const log = await open()
    const start = await log.end()
    await log.append('a1', 'a2')
    const page = await log.read(start, selector('quiet', 'quiet.*'))
    assert.deepEqual(page.items, [])
    assert.deepEqual(page.upto, await log.end())
  })

  it('pages have at most the requested number of events, and continue where they stopped', async (open) => {
    const log = await open()
    const start = await log.end()
    const names = ['a1', 'p.x1', 'a2', 'a3', 'p.y1', 'p.x2', 'a4']
    await log.append('a1', 'p.x1', 'b1', 'a2', 'a3', 'b2', 'p.y1', 'p.x2', 'a4', 'b3')
    const wanted = selector('a', 'p.*')
    for (let events = 1; events <= names.length + 1; events++) {
      const page = await log.broker.read(start, wanted, { ...ALL, events })
      assert.ok(page.items.length <= events)
      const whole = await log.read(start, wanted, { ...ALL, events })
      assert.deepEqual(log.brief(whole.items), names)
      assert.deepEqual(whole.upto, await log.end())
    }
  })

  it('pages have at most the requested number of bytes, but one event of any size', async (open) => {
    const log = await open()
    const start = await log.end()
    const events = ['a1', 'b1', 'a2', 'b2', 'a3'].map((name) => largeEvent(name, 1_000))
    await log.append(...events, largeEvent('a4', 5_000), 'a5')
    const of = selector('a', 'b')
    const all = (await log.read(start, of)).items
    assert.equal(all.length, 7)
    for (const bytes of [1, 1_000, 2_500, 3_500, 6_000]) {
      const { items } = await log.broker.read(start, of, { ...ALL, bytes })
      assert.ok(items.length <= Math.max(1, bytes / 1_000), `${items.length} events in ${bytes} bytes`)
      assert.deepEqual(log.brief((await log.read(start, of, { ...ALL, bytes })).items), log.brief(all))
    }
  })

  it('a position past the end has diverged, and continues from the end', async (open) => {
    const log = await open()
    await log.append('a1')
    const end = await log.end()
    const page = await log.broker.read({ epoch: end.epoch, seq: end.seq + 1_000 }, selector('a', '>'), ALL)
    assert.deepEqual(withoutStart(page), { status: 'diverged', from: end, items: [], upto: end, end: true })
  })

  it('a position of an unknown log continues from the end', async (open) => {
    const log = await open()
    await log.append('a1')
    const end = await log.end()
    const page = await log.broker.read(
      { epoch: end.epoch === 'zzzzzz' ? 'yyyyyy' : 'zzzzzz', seq: 0 },
      selector('a'),
      ALL,
    )
    assert.deepEqual(withoutStart(page), { status: 'unknown-epoch', from: end, items: [], upto: end, end: true })
  })
}
