import { describe, expect, it } from 'vitest'
import { pattern } from '../../src/channel-name.ts'
import { type ChannelEvents, memoryBroker } from '../../src/index.ts'
import { appWith, brokerWith, flavours, makeHub, post, serve, until } from './support.ts'

/** The next `count` items, in short. */
async function take(events: ChannelEvents<unknown>, count: number): Promise<unknown[]> {
  const items: unknown[] = []
  while (items.length < count) {
    const { value } = await events.next()
    items.push('gap' in value ? value.reason : value.data)
  }
  return items
}

describe('hub.events()', () => {
  it('receives the events from the call on, published in code and by POST, on names and patterns', async () => {
    const hub = makeHub()
    await hub.publish('news', 'before')
    const events = hub.events(['news', pattern('price.*')])
    await hub.publish('news', 'one', { event: 'x' })
    await hub.publish('other', 'no')
    const url = await serve(appWith(flavours[0]!, hub))
    const { body } = await post(url, '/channels/price.eur?event=y', '{"n":2}')
    expect(await events.next()).toMatchObject({ done: false, value: { channel: 'news', event: 'x', data: 'one' } })
    expect((await events.next()).value).toEqual({
      channel: 'price.eur',
      event: 'y',
      id: JSON.parse(body).id,
      data: { n: 2 },
    })
    await events.return!()
    await until(() => hub.stats().channels === 0)
  })

  it('is a loop that ends when it is left', async () => {
    const hub = makeHub()
    const heard: unknown[] = []
    const loop = (async () => {
      for await (const item of hub.events('a')) {
        if ('gap' in item) continue
        heard.push(item.data)
        if (item.data === 3) break
      }
    })()
    expect(hub.stats().channels).toBe(1)
    for (const n of [1, 2, 3, 4]) await hub.publish('a', n)
    await loop
    expect(heard).toEqual([1, 2, 3])
    await until(() => hub.stats().channels === 0)
  })

  it('resumes after an event, with gaps where events are missing', async () => {
    const broker = memoryBroker({ history: { channels: { short: { maxEvents: 1 } } } })
    const hub = makeHub(undefined, { broker })
    const { id: after } = await hub.publish('long', 0)
    const receipts = []
    for (const [channel, data] of [
      ['long', 1],
      ['short', 2],
      ['short', 3],
      ['long', 4],
    ] as const) {
      receipts.push(await hub.publish(channel, data))
    }
    const events = hub.events(['long', 'short'], { after })
    expect((await events.next()).value).toMatchObject({ data: 1 })
    expect((await events.next()).value).toEqual({
      gap: true,
      reason: 'trimmed',
      channels: ['short'],
      from: after,
      to: receipts[1]!.id,
    })
    expect(await take(events, 2)).toEqual([3, 4])
    await events.return!()
  })

  it('reports a malformed position as a gap', async () => {
    const hub = makeHub()
    const { id } = await hub.publish('a', 1)
    for (const [after, reason, from] of [
      ['garbage', 'bad-cursor', null],
      ['zzzzzz.1', 'unknown-epoch', 'zzzzzz.1'],
      [`${id.slice(0, 7)}zz`, 'diverged', `${id.slice(0, 7)}zz`],
    ]) {
      const events = hub.events('a', { after: after! })
      expect((await events.next()).value).toEqual({ gap: true, reason, channels: ['a'], from, to: id })
      await events.return!()
    }
  })

  it('rewinds without a usable position', async () => {
    const hub = makeHub()
    const ids = []
    for (const n of [1, 2, 3]) ids.push((await hub.publish('a', n)).id)
    const rewound = hub.events('a', { rewind: 2 })
    expect(await take(rewound, 2)).toEqual([2, 3])
    const bad = hub.events('a', { rewind: 1, after: 'bad' })
    expect(await take(bad, 2)).toEqual(['bad-cursor', 3])
    const unknown = hub.events('a', { rewind: 1, after: 'zzzzzz.1' })
    expect(await take(unknown, 2)).toEqual(['unknown-epoch', 3])
    const good = hub.events('a', { rewind: 1, after: ids[0]! })
    expect(await take(good, 2)).toEqual([2, 3])
    await Promise.all([rewound, bad, unknown, good].map((events) => events.return!()))
  })

  it('gives a slow consumer every event, without a queue', async () => {
    const hub = makeHub(undefined, { broker: memoryBroker({ history: { maxEvents: 5_000 } }) })
    const events = hub.events('a')
    await hub.publish('a', -1)
    expect(await take(events, 1)).toEqual([-1])
    for (let from = 0; from < 3_000; from += 1_000) {
      await hub.publishAll(Array.from({ length: 1_000 }, (_, i) => ({ channel: 'a', data: from + i })))
    }
    expect(await take(events, 3_000)).toEqual(Array.from({ length: 3_000 }, (_, i) => i))
    // It waits for the next one again.
    const next = events.next()
    await hub.publish('a', 'live')
    expect((await next).value).toMatchObject({ data: 'live' })
    await events.return!()
  })

  it('reports a gap to a consumer that is too slow', async () => {
    const hub = makeHub(undefined, { broker: memoryBroker({ history: { maxEvents: 2 } }) })
    const events = hub.events('a')
    await hub.publish('a', 'first')
    expect(await take(events, 1)).toEqual(['first'])
    // More than what memory has of the newest events, whatever retention says.
    for (let n = 0; n < 11; n++) {
      await hub.publishAll(Array.from({ length: 1_000 }, (_, i) => ({ channel: 'a', data: n * 1_000 + i })))
    }
    expect(await take(events, 3)).toEqual(['trimmed', 10_998, 10_999])
    await events.return!()
  })

  it('answers calls of next() one after the other', async () => {
    const hub = makeHub()
    const events = hub.events('a')
    const pending = [events.next(), events.next(), events.next()]
    await hub.publishAll([
      { channel: 'a', data: 1 },
      { channel: 'a', data: 2 },
    ])
    await hub.publish('a', 3)
    expect((await Promise.all(pending)).map(({ value }) => value.data)).toEqual([1, 2, 3])
    await events.return!()
  })

  describe('ends', () => {
    it('with its signal, also while it waits, and when that is over already', async () => {
      const hub = makeHub()
      const ending = new AbortController()
      const events = hub.events('a', { signal: ending.signal })
      const next = events.next()
      ending.abort()
      expect(await next).toEqual({ done: true, value: undefined })
      expect(await events.next()).toEqual({ done: true, value: undefined })
      expect(await hub.events('a', { signal: AbortSignal.abort() }).next()).toMatchObject({ done: true })
    })

    it('with return(), while it waits; twice is once', async () => {
      const hub = makeHub()
      const events = hub.events(['a', pattern('b.*')])
      const next = events.next()
      expect(await events.return!()).toEqual({ done: true, value: undefined })
      await events.return!()
      expect(await next).toMatchObject({ done: true })
      await until(() => hub.stats().channels === 0)
    })

    it('with the hub', async () => {
      const hub = makeHub()
      const events = hub.events('a')
      await hub.publish('a', 1)
      expect(await take(events, 1)).toEqual([1])
      const next = events.next()
      await hub.close()
      expect(await next).toMatchObject({ done: true })
      expect(await events.next()).toMatchObject({ done: true })
    })

    it.each(['subscribe', 'read'] as const)(
      'with the error of the broker at %s, and leaves nothing behind',
      async (part) => {
        let subscribed = 0
        const broker = brokerWith({
          subscribe: async () => void subscribed++,
          unsubscribe: () => void subscribed--,
          [part]: () => Promise.reject(new Error('away')),
        })
        const hub = makeHub(undefined, { broker })
        const events = hub.events('a')
        await expect(
          (async () => {
            for await (const _ of events) expect.unreachable()
          })(),
        ).rejects.toThrow('away')
        expect(await events.next()).toMatchObject({ done: true })
        await until(() => hub.stats().channels === 0)
        expect(subscribed).toBe(0)
      },
    )

    it('with the error of a later read', async () => {
      let away = false
      // What was handed over is incomplete: the reader has to read.
      const broker = brokerWith({})
      const { start, read } = broker
      broker.start = (listener) => start({ ...listener, events: (_, top) => listener.suspect(top) })
      broker.read = (...args) => (away ? Promise.reject(new Error('away')) : read(...args))
      const hub = makeHub(undefined, { broker })
      const events = hub.events('a')
      await hub.publish('a', 1)
      expect(await take(events, 1)).toEqual([1])
      const next = events.next()
      away = true
      await hub.publish('a', 2)
      await expect(next).rejects.toThrow('away')
      await until(() => hub.stats().channels === 0)
    })
  })

  it('throws for invalid arguments', () => {
    const hub = makeHub()
    expect(() => hub.events('a b')).toThrow(expect.objectContaining({ code: 'ERR_SSE_CHANNEL_NAME' }))
    expect(() => hub.events([])).toThrow(expect.objectContaining({ code: 'ERR_SSE_CHANNEL_REQUIRED' }))
    expect(() => hub.events('a', { rewind: -1 })).toThrow(/rewind/)
    expect(() => hub.events('a', { envelope: true } as never)).toThrow(/envelope/)
  })
})
