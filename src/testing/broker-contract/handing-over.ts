import assert from 'node:assert/strict'
import { formatCursor, parseCursor } from '../../protocol/cursor.ts'
import { type ContractIt, event, selector } from './rig.ts'

/**
 * The promises of `start`, `subscribe` and the listener. Every test also checks each call of the listener: see `Rig`.
 */
export function handingOver(it: ContractIt): void {
  it('a new log has a position, which is its end', async (open) => {
    const log = await open()
    const { top } = log
    assert.match(top.epoch, /^[0-9A-Za-z]{6}$/)
    assert.deepEqual(parseCursor(formatCursor(top)), top)
    assert.deepEqual(await log.end(), top)
    assert.deepEqual(log.handed, [])
  })

  it('the top rises with each call of the listener, and reaches every published event', async (open) => {
    const log = await open()
    await log.broker.subscribe(selector('a'))
    const start = log.top
    for (let i = 1; i <= 20; i++) {
      const published = log.append(`a${i}`)
      log.check()
      const [receipt] = await published
      log.check()
      await log.handedUpTo(receipt!.id)
      assert.ok(log.top.seq >= receipt!.id.seq)
    }
    assert.equal(log.top.epoch, start.epoch)
    assert.ok(log.top.seq >= start.seq + 20)
  })

  it('calls of the listener are not nested: a publish inside one is handed over after it', async (open) => {
    const log = await open()
    await log.broker.subscribe(selector('a', 'b'))
    let inner: Promise<unknown> | undefined
    log.onEvents = () => {
      inner ??= log.append('b1')
    }
    await log.deliver('a1')
    await inner
    await log.deliver('a2')
    assert.deepEqual(log.brief(log.handed), ['a1', 'b1', 'a2'])
  })

  it('every event of a subscribed channel or pattern is handed over once, in the order of the log', async (open) => {
    const log = await open()
    await log.broker.subscribe(selector('a', 'p.*', 'p.>'))
    await log.broker.subscribe(selector('a', 'p.x'))
    const names = ['a1', 'p.x1', 'a2', 'p.y1', 'p.x.deep1', 'a3', 'p.x2']
    await log.append('a1', 'p.x1', 'b1')
    await log.append('a2')
    await log.publish(['p.y1', 'p.x.deep1'], ['b2'], ['a3'])
    await log.deliver('p.x2')
    const wanted = log.handed.filter(({ channel }) => channel !== 'b')
    assert.deepEqual(log.brief(wanted), names)
  })

  it('an event names the one before it in its channel', async (open) => {
    const log = await open()
    const start = await log.end()
    await log.broker.subscribe(selector('a', 'b'))
    await log.append('a1', 'a2', 'b1')
    await log.publish(['a3'], ['b2', 'a4'])
    await log.deliver('b3')
    const read = await log.read(start, selector('a', 'b'))
    for (const events of [log.handed, read.items]) {
      const last = new Map<string, number>()
      for (const item of events) {
        assert.ok(!('channels' in item))
        const { channel, seq, prev } = item
        if (last.has(channel)) assert.equal(prev, last.get(channel))
        else
          assert.ok(
            prev <= start.seq,
            'the first event of a channel has no earlier event that a subscriber could have received',
          )
        last.set(channel, seq)
      }
    }
  })

  it('an event has all published fields, and its frame', async (open) => {
    const log = await open()
    const start = await log.end()
    await log.broker.subscribe(selector('a'))
    const texts = ['', ' text ', 'two\nlines\r\nand\rmore\n', '\0\u2028\u{1f600}ä', '{"x":1}', 'long'.repeat(50_000)]
    const published = texts.flatMap((data, i) => [
      event('a', { data }),
      event('a', { data, json: data === '{"x":1}', event: `type ${i}: ä`, conflationKey: `key\n${i}` }),
    ])
    const receipts = await log.deliver(...published)
    const read = await log.read(start, selector('a'))
    for (const events of [log.handed, read.items]) {
      assert.equal(events.length, published.length)
      for (const [i, item] of events.entries()) {
        assert.ok(!('channels' in item))
        const { channel, event, data, json, conflationKey, fields, bytes, seq } = item
        const { idempotencyKey, ...given } = published[i]!
        assert.deepEqual({ channel, event, data, json, conflationKey, fields, bytes }, given)
        assert.equal(seq, receipts[i]!.id.seq)
        const id = `id: ${formatCursor(receipts[i]!.id)}\n`
        assert.equal(item.frame('plain').bytes.toString(), id + given.fields)
        const [idLine, dataLine, ...rest] = item.frame('envelope').bytes.toString().split('\n')
        assert.equal(`${idLine}\n`, id)
        assert.deepEqual(rest, ['', ''])
        assert.deepEqual(JSON.parse(dataLine!.replace(/^data: /, '')), {
          channel: 'a',
          ...(given.event === undefined ? {} : { event: given.event }),
          data: given.json ? JSON.parse(given.data) : given.data,
        })
      }
    }
  })

  it('subscriptions are counted: the last unsubscribe ends them, and a new subscribe starts again', async (open) => {
    const log = await open()
    const twice = selector('a')
    await log.broker.subscribe(twice)
    await log.broker.subscribe(twice)
    log.broker.unsubscribe(twice)
    await log.deliver('a1')
    assert.deepEqual(log.brief(log.handed), ['a1'])
    log.broker.unsubscribe(twice)
    await log.broker.subscribe(twice)
    await log.deliver('a2')
    assert.deepEqual(log.brief(log.handed), ['a1', 'a2'])
  })

  it('subscriptions are counted for each selector object, independent of equal selectors', async (open) => {
    const log = await open()
    const [one, other, pattern] = [selector('a', 'b'), selector('a', 'b'), selector('*')]
    await Promise.all([one, other, pattern].map((each) => log.broker.subscribe(each)))
    log.broker.unsubscribe(one)
    await log.deliver('a1')
    log.broker.unsubscribe(pattern)
    await log.deliver('b1')
    assert.deepEqual(log.brief(log.handed), ['a1', 'b1'])
  })
}
