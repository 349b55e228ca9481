import assert from 'node:assert/strict'
import { manualClock } from '../manual-clock.ts'
import { ALL, type ContractIt, largeEvent, selector, withoutStart } from './rig.ts'

/** The promises of `latest`. */
export function latest(it: ContractIt): void {
  it('latest returns the last events of each channel, in the order of the log', async (open) => {
    const log = await open()
    await log.append('a1', 'b1', 'p.x1', 'a2', 'p.y1', 'b2', 'a3', 'p.x2', 'a4')
    const brief = async (count: number, ...names: string[]) =>
      log.brief((await log.broker.latest(count, selector(...names), ALL)).items)
    assert.deepEqual(await brief(1, 'a', 'b'), ['b2', 'a4'])
    assert.deepEqual(await brief(2, 'b', 'a'), ['b1', 'b2', 'a3', 'a4'])
    assert.deepEqual(await brief(3, 'a', 'b', 'quiet'), ['b1', 'a2', 'b2', 'a3', 'a4'])
    assert.deepEqual(await brief(1_000, 'a'), ['a1', 'a2', 'a3', 'a4'])
    assert.deepEqual(await brief(1, 'p.*', 'p.x', 'b'), ['p.y1', 'b2', 'p.x2'])
  })

  it('latest begins at the position before its first event, and ends at the end of the log', async (open) => {
    const log = await open()
    const receipts = await log.append('a1', 'b1', 'a2', 'a3', 'b2')
    const page = await log.broker.latest(2, selector('a'), ALL)
    assert.equal(page.status, 'ok')
    assert.equal(page.end, true)
    assert.deepEqual(page.upto, await log.end())
    assert.equal(page.from.epoch, page.upto.epoch)
    assert.ok(page.from.seq >= receipts[1]!.id.seq && page.from.seq < receipts[2]!.id.seq)
    assert.deepEqual(await log.after(page.from, 'a'), ['a2', 'a3'])
  })

  it('latest without events is an empty page at the end of the log', async (open) => {
    const log = await open()
    await log.append('a1')
    const end = await log.end()
    const page = await log.broker.latest(5, selector('quiet', 'quiet.*'), ALL)
    assert.deepEqual(withoutStart(page), { status: 'ok', from: end, items: [], upto: end, end: true })
  })

  it('latest over its limits keeps the newest events of all channels, at least one', async (open) => {
    const log = await open()
    await log.append(...['a1', 'a2', 'b1', 'a3', 'b2'].map((name) => largeEvent(name, 1_000)), largeEvent('b3', 5_000))
    const brief = async (max: { events: number; bytes: number }) => {
      const { items } = await log.broker.latest(1_000, selector('a', 'b'), max)
      return log.brief(items).map((data) => data.slice(0, 2))
    }
    assert.deepEqual(await brief({ ...ALL, events: 3 }), ['a3', 'b2', 'b3'])
    assert.deepEqual(await brief({ ...ALL, bytes: 7_500 }), ['a3', 'b2', 'b3'])
    assert.deepEqual(await brief({ ...ALL, bytes: 1 }), ['b3'])
  })

  it('latest returns the kept events, and reports no losses', async (open) => {
    const clock = manualClock()
    const log = await open({ clock, history: { maxEvents: 2, maxAgeMs: 60_000 } })
    await log.append('a1', 'a2', 'b1', 'a3')
    assert.deepEqual(log.brief((await log.broker.latest(10, selector('a', '*'), ALL)).items), ['a2', 'b1', 'a3'])
    clock.advance(61_000)
    await log.append('a4')
    assert.deepEqual(log.brief((await log.broker.latest(10, selector('*'), ALL)).items), ['a4'])
  })
}
