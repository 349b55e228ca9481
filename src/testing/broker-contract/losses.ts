import assert from 'node:assert/strict'
import { type ManualClock, manualClock } from '../manual-clock.ts'
import { ALL, type ContractIt, event, largeEvent, selector } from './rig.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 3_600_000

/** An event may have 10,000 bytes, and the log sixteen times that, if a broker counts only the text. */
const SMALL_LOG = { maxBytes: 160_000 }

/** The promises of `read` for events that the log no longer has. A false alarm is as much a defect as a missed one. */
export function losses(it: ContractIt): void {
  it('a channel trimmed by count reports its loss before its kept events', async (open) => {
    const log = await open({ history: { maxEvents: 2 } })
    const start = await log.end()
    const receipts = await log.append('a1', 'a2', 'a3', 'a4', 'a5')
    assert.deepEqual(await log.after(start, 'a'), ['lost a to a3', 'a4', 'a5'])
    assert.deepEqual(await log.after(receipts[1]!.id, 'a'), ['lost a to a3', 'a4', 'a5'])
    assert.deepEqual(await log.after(receipts[2]!.id, 'a'), ['a4', 'a5'])
    assert.deepEqual(await log.after(receipts[3]!.id, 'a'), ['a5'])
  })

  it('each channel has its own limits: a name takes precedence over patterns, then the first pattern', async (open) => {
    const channels = { 'p.x': { maxEvents: 1 }, 'p.*': { maxEvents: 2 }, 'p.>': { maxEvents: 0 } }
    const log = await open({ history: { maxEvents: 3, channels } })
    const start = await log.end()
    for (let i = 1; i <= 4; i++) await log.append(`a${i}`, `p.x${i}`, `p.y${i}`, `p.x.y${i}`)
    assert.deepEqual(await log.after(start, 'a'), ['lost a to a1', 'a2', 'a3', 'a4'])
    assert.deepEqual(await log.after(start, 'p.x'), ['lost p.x to p.x3', 'p.x4'])
    assert.deepEqual(await log.after(start, 'p.y'), ['lost p.y to p.y2', 'p.y3', 'p.y4'])
    assert.deepEqual(await log.after(start, 'p.x.y'), ['lost p.x.y to p.x.y4'])
  })

  it('events expire by age, also in a quiet channel', async (open) => {
    const clock = manualClock()
    const log = await open({ clock, history: { maxAgeMs: 10 * MINUTE_MS, channels: { old: { maxAgeMs: 0 } } } })
    const start = await log.end()
    await log.append('a1', 'b1', 'old1')
    clock.advance(9 * MINUTE_MS)
    await log.append('a2')
    assert.deepEqual(await log.after(start, 'a', 'b'), ['a1', 'b1', 'a2'])
    clock.advance(2 * MINUTE_MS)
    assert.deepEqual(await log.after(start, 'a', 'b'), ['lost a to a1', 'lost b to b1', 'a2'])
    clock.advance(10 * MINUTE_MS)
    assert.deepEqual(await log.after(start, 'a', 'b'), ['lost b to b1', 'lost a to a2'])
    clock.advance(HOUR_MS)
    assert.deepEqual(await log.after(start, 'old'), ['old1'])
  })

  it('a wall clock that is stepped trims nothing', async (open) => {
    const clock = manualClock()
    const log = await open({ clock })
    const start = await log.end()
    await log.append('a1')
    clock.setWallTime(clock.now() + 24 * HOUR_MS)
    await log.append('a2')
    clock.setWallTime(0)
    await log.append('a3')
    assert.deepEqual(await log.after(start, 'a'), ['a1', 'a2', 'a3'])
  })

  it('a channel that keeps nothing reports a loss up to its last event', async (open) => {
    const log = await open({ history: { channels: { a: { maxEvents: 0 } } } })
    const start = await log.end()
    const receipts = await log.append('a1', 'b1', 'a2', 'b2')
    assert.deepEqual(await log.after(start, 'a', 'b'), ['b1', 'lost a to a2', 'b2'])
    assert.deepEqual(await log.after(receipts[2]!.id, 'a', 'b'), ['b2'])
  })

  it('the bytes of the whole log are limited, and its oldest events are deleted first', async (open) => {
    const log = await open({ history: { ...SMALL_LOG, channels: { a: { maxEvents: 500 } } } })
    const start = await log.end()
    const names = Array.from({ length: 40 }, (_, i) => `${i % 2 === 0 ? 'a' : 'b'}${i}`)
    for (const name of names) await log.append(largeEvent(name, 8_000))
    const { items } = await log.read(start, selector('a', 'b'))
    const kept = log
      .brief(items.filter((item) => !('channels' in item)))
      .map((data) => data.slice(0, data.indexOf('.')))
    assert.ok(kept.length > 0 && kept.length <= 20, `${kept.length} events of 8,000 bytes are kept`)
    assert.deepEqual(kept, names.slice(-kept.length))
    assert.equal(items.length, kept.length + 2)
  })

  it('a loss stands in its place: directly before the first event of its channel', async (open) => {
    const log = await open({ history: { channels: { a: { maxEvents: 1 } } } })
    const start = await log.end()
    await log.append('a1', 'b1', 'b2', 'a2', 'b3', 'a3', 'b4')
    const expected = ['b1', 'b2', 'lost a to a2', 'b3', 'a3', 'b4']
    assert.deepEqual(await log.after(start, 'a', 'b'), expected)
    assert.deepEqual(await log.after(start, '*'), expected)
  })

  it('pages of any size report the same losses, each once', async (open) => {
    const channels = { a: { maxEvents: 1 }, b: { maxEvents: 2 }, c: { maxEvents: 0 } }
    const log = await open({ history: { channels } })
    const start = await log.end()
    await log.append('a1', 'b1', 'd1', 'b2', 'c1', 'a2', 'b3', 'c2', 'd2', 'b4', 'a3', 'd3')
    const expected = ['d1', 'lost b to b2', 'lost a to a2', 'b3', 'lost c to c2', 'd2', 'b4', 'a3', 'd3']
    for (const wanted of [selector('a', 'b', 'c', 'd'), selector('*')]) {
      for (let events = 1; events <= expected.length; events++) {
        assert.deepEqual(log.brief((await log.read(start, wanted, { ...ALL, events })).items), expected)
      }
      assert.deepEqual(log.brief((await log.read(start, wanted, { ...ALL, bytes: 1 })).items), expected)
    }
  })

  it('a quiet channel loses nothing when others lose events', async (open) => {
    const log = await open({ history: { maxEvents: 1 } })
    const start = await log.end()
    await log.append('quiet1')
    const receipts = await log.append('a1', 'a2', 'a3')
    assert.deepEqual(await log.after(start, 'quiet', 'never', 'never.*'), ['quiet1'])
    assert.deepEqual(await log.after(receipts[0]!.id, 'quiet', 'never', 'never.*'), [])
    assert.deepEqual(await log.after(receipts[0]!.id, 'quiet', 'a'), ['lost a to a2', 'a3'])
  })

  it('an event too large for the history is handed over, not kept, and evicts nothing', async (open) => {
    const log = await open({ history: SMALL_LOG })
    await log.broker.subscribe(selector('a'))
    const start = await log.end()
    await log.append('b1', 'a1')
    const [large] = await log.deliver(event('a2', { data: 'a2'.padEnd(20_000, '.') }))
    assert.deepEqual(
      log.handed.filter(({ channel }) => channel === 'a').map(({ data }) => data.length),
      [2, 20_000],
    )
    const to = log.handed.at(-1)!.data
    assert.deepEqual(await log.after(start, 'a', 'b'), ['b1', 'a1', `lost a to ${to}`])
    await log.append('a3')
    assert.deepEqual(await log.after(start, 'a', 'b'), ['b1', 'a1', `lost a to ${to}`, 'a3'])
    assert.deepEqual(await log.after(large!.id, 'a', 'b'), ['a3'])
  })

  it('beyond maxChannels the channel with the oldest last event is forgotten, and no publish is refused', async (open) => {
    const log = await open({ history: { maxChannels: 2 } })
    const start = await log.end()
    await log.append('a1')
    await log.append('b1')
    await log.append('a2')
    await log.append('c1')
    assert.deepEqual(await log.after(start, 'a', 'c'), ['a1', 'a2', 'c1'])
    assert.deepEqual(await log.after(start, 'b'), ['lost b to b1'])
  })

  it('unknown channels and every pattern report the forgotten events, for older positions only', async (open) => {
    const log = await open({ history: { maxChannels: 2 } })
    const start = await log.end()
    const [a1] = await log.append('a1')
    await log.append('b1')
    await log.append('c1')
    assert.deepEqual(await log.after(start, 'a'), ['lost a to a1'])
    assert.deepEqual(await log.after(start, 'never'), ['lost never to a1'])
    assert.deepEqual(await log.after(start, 'never.*'), ['lost never.* to a1'])
    assert.deepEqual(await log.after(start, '*'), ['lost * to a1', 'b1', 'c1'])
    assert.deepEqual(await log.after(start, 'b', 'c'), ['b1', 'c1'])
    for (const name of ['a', 'never', 'never.*']) assert.deepEqual(await log.after(a1!.id, name), [])
    assert.deepEqual(await log.after(a1!.id, '*'), ['b1', 'c1'])
  })

  it('channels and patterns that lost events up to the same place share one loss', async (open) => {
    const log = await open({ history: { maxChannels: 2 } })
    const start = await log.end()
    await log.append('a1')
    await log.append('b1')
    await log.append('c1')
    const wanted = selector('a', 'never', 'x.*', 'y.*', 'c')
    for (const max of [ALL, { ...ALL, events: 1 }, { ...ALL, bytes: 1 }]) {
      assert.deepEqual(log.brief((await log.read(start, wanted, max)).items), ['lost a never x.* y.* to a1', 'c1'])
    }
  })

  it('a forgotten channel with a new event reports its earlier events as lost', async (open) => {
    const log = await open({ history: { maxChannels: 2 } })
    const start = await log.end()
    const [a1] = await log.append('a1')
    const [b1] = await log.append('b1')
    await log.append('c1')
    const [a2] = await log.append('a2')
    const { items } = await log.read(start, selector('a'))
    assert.equal(items.length, 2)
    assert.ok('channels' in items[0]!)
    assert.deepEqual(items[0].channels, ['a'])
    assert.ok(items[0].seq >= a1!.id.seq && items[0].seq < a2!.id.seq)
    assert.deepEqual(await log.after(b1!.id, 'a'), ['a2'])
  })

  const remembering: [string, number, { maxEvents?: number; maxAgeMs: number }][] = [
    ['an hour', 59 * MINUTE_MS, { maxAgeMs: 1_000 }],
    ['an hour when nothing is kept', 59 * MINUTE_MS, { maxAgeMs: 1_000, maxEvents: 0 }],
    ['as long as events may be kept', 119 * MINUTE_MS, { maxAgeMs: 2 * HOUR_MS, maxEvents: 0 }],
  ]
  for (const [how, elapsed, history] of remembering) {
    it(`names are remembered ${how}, so no false loss is reported`, async (open) => {
      const clock = manualClock()
      const log = await open({ clock, history })
      const start = await log.end()
      const [, b1] = await log.append('a1', 'b1')
      pass(clock, elapsed)
      assert.deepEqual(await log.after(start, 'a'), ['lost a to a1'])
      assert.deepEqual(await log.after(start, '*'), ['lost a to a1', 'lost b to b1'])
      assert.deepEqual(await log.after(start, 'never', 'never.*'), [])
      assert.deepEqual(await log.after(b1!.id, 'a', 'b', '*'), [])
    })
  }

  it('a channel that is forgotten for its age is still reported', async (open) => {
    const clock = manualClock()
    const log = await open({ clock, history: { maxAgeMs: 1_000 } })
    const start = await log.end()
    await log.append('a1')
    const [b1] = await log.append('b1')
    pass(clock, 5 * HOUR_MS)
    for (const names of [['a'], ['*'], ['a', '*']]) {
      const { items } = await log.read(start, selector(...names))
      assert.ok(items.length > 0 && items.every((item) => 'channels' in item))
    }
    assert.deepEqual(await log.after(b1!.id, 'a', 'b', 'never', '*'), [])
  })
}

/** In steps, as time passes. */
function pass(clock: ManualClock, ms: number): void {
  for (let left = ms; left > 0; left -= MINUTE_MS) clock.advance(Math.min(left, MINUTE_MS))
}
