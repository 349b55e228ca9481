import express from 'express'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { BrokerListener } from '../../src/broker/broker.ts'
import { ChannelHub, memoryBroker, type PublishReceipt, SseError, sse } from '../../src/index.ts'
import { manualClock } from '../../src/testing/index.ts'
import {
  appWith,
  ask,
  brokerWith,
  EVENT_STREAM,
  flavours,
  makeHub,
  NOBODY,
  open,
  post,
  serve,
  until,
} from './support.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

const five = flavours[0]!
const NEVER = new Promise<never>(() => {})

const unhandled: unknown[] = []
const note = (reason: unknown): void => void unhandled.push(reason)

beforeEach(() => {
  unhandled.length = 0
  process.on('unhandledRejection', note)
})

afterEach(async () => {
  await new Promise((resolve) => setImmediate(resolve))
  process.off('unhandledRejection', note)
  expect(unhandled).toEqual([])
})

describe('new ChannelHub()', () => {
  it.each([
    ['slowSubscriber', { slowSubscriber: 'conflate' }],
    ['highWaterMarkBytes', { highWaterMarkBytes: -1 }],
    ['maxLagMs', { maxLagMs: '30s' }],
    ['maxStreams', { maxStreams: 1.5 }],
    ['maxStreamsPerAddress', { maxStreamsPerAddress: -1 }],
    ['maxChannelsPerSubscription', { maxChannelsPerSubscription: 0 }],
    ['maxEventBytes', { maxEventBytes: 0 }],
    ['history', { history: {} }],
    ['ChannelHub', 5],
  ])('a wrong %s is a TypeError that names it', (name, options) => {
    expect(() => new ChannelHub(options as never)).toThrow(TypeError)
    expect(() => new ChannelHub(options as never)).toThrow(new RegExp(name))
  })

  it('takes undefined for every option', async () => {
    await using hub = new ChannelHub({ broker: undefined, maxStreams: undefined, clock: undefined })
    expect((await hub.publish('a', 1)).duplicate).toBe(false)
  })

  it('of a broker that serves another hub does not come up', async () => {
    const broker = memoryBroker()
    await using first = new ChannelHub({ broker })
    await first.ready()
    const second = new ChannelHub({ broker })
    await expect(second.ready()).rejects.toThrow('one hub')
    await expect(second.publish('a', 1)).rejects.toThrow('one hub')
  })
})

describe('publish', () => {
  it('resolves a receipt, with data of every kind that has a text', async () => {
    const hub = makeHub()
    const events = hub.events('news')
    for (const data of ['text', '', 5, null, true, [1], { a: { b: 1 } }, new Date(0), { toJSON: () => 'own' }]) {
      const receipt: PublishReceipt = await hub.publish('news', data)
      expect(receipt).toEqual({
        id: expect.stringMatching(/^[0-9A-Za-z]{6}\.[0-9a-z]+$/),
        channel: 'news',
        duplicate: false,
        localSubscribers: 0,
      })
      const { value } = await events.next()
      expect(value).toEqual({
        channel: 'news',
        event: undefined,
        id: receipt.id,
        data: typeof data === 'string' ? data : JSON.parse(JSON.stringify(data)),
      })
    }
    await events.return!()
    expect(hub.stats().published).toBe(9)
  })

  it.each([
    ['undefined', () => undefined],
    ['a function', () => () => 1],
    ['a symbol', () => Symbol('x')],
    ['a BigInt', () => 5n],
    ['a Map', () => new Map()],
    ['a Set', () => new Set()],
    ['bytes', () => Buffer.from('x')],
    [
      'a cycle',
      () => {
        const cycle: unknown[] = []
        cycle.push(cycle)
        return cycle
      },
    ],
  ])('of %s is a TypeError, and nothing is published', async (_name, make) => {
    const hub = makeHub()
    await expect(hub.publish('news', make())).rejects.toThrow(TypeError)
    await expect(
      hub.publishAll([
        { channel: 'a', data: 1 },
        { channel: 'a', data: make() },
      ]),
    ).rejects.toThrow(TypeError)
    expect(hub.stats().published).toBe(0)
  })

  it.each([
    ['ERR_SSE_CHANNEL_NAME', 'a b', 1, {}],
    ['ERR_SSE_CHANNEL_NAME', 'a.*', 1, {}],
    ['ERR_SSE_CHANNEL_NAME', '', 1, {}],
    ['ERR_SSE_CHANNEL_NAME', 5, 1, {}],
    ['ERR_SSE_EVENT_TYPE', 'a', 1, { event: 'hub.open' }],
    ['ERR_SSE_EVENT_TYPE', 'a', 1, { event: 'a\ndata: forged' }],
    ['ERR_SSE_EVENT_TYPE', 'a', 1, { event: '' }],
    ['ERR_SSE_EVENT_TYPE', 'a', 1, { event: 5 }],
    ['ERR_SSE_IDEMPOTENCY_KEY', 'a', 1, { idempotencyKey: '' }],
    ['ERR_SSE_IDEMPOTENCY_KEY', 'a', 1, { idempotencyKey: 'a\x000' }],
    ['ERR_SSE_IDEMPOTENCY_KEY', 'a', 1, { idempotencyKey: 5 }],
    ['ERR_SSE_CONFLATION_KEY', 'a', 1, { conflationKey: '' }],
    ['ERR_SSE_CONFLATION_KEY', 'a', 1, { conflationKey: 5 }],
    ['ERR_SSE_EVENT_TOO_LARGE', 'a', 'x'.repeat(1_048_576), {}],
  ])('refuses with %s: %o', async (code, channel, data, options) => {
    const hub = makeHub()
    const errors: unknown[] = []
    hub.on('error', (error, context) => errors.push([error, context]))
    await expect(hub.publish(channel as string, data, options as object)).rejects.toMatchObject({ code })
    await turn()
    expect(errors).toEqual([[expect.objectContaining({ code }), { channel }]])
    expect(hub.stats().published).toBe(0)
  })

  it('with a wrong option is a TypeError that names it', async () => {
    const hub = makeHub()
    await expect(hub.publish('a', 1, { id: '5' } as never)).rejects.toThrow(/`id`/)
    await expect(hub.publish('a', 1, { event: undefined, idempotencyKey: undefined })).resolves.toBeDefined()
  })

  it('with a key publishes once, and another payload is a mismatch that disturbs no other', async () => {
    const hub = makeHub()
    const [first, again, other, mismatch] = await Promise.allSettled([
      hub.publish('a', 1, { idempotencyKey: 'k' }),
      hub.publish('a', 1, { idempotencyKey: 'k' }),
      hub.publish('a', 2),
      hub.publish('a', 3, { idempotencyKey: 'k' }),
    ])
    expect(first).toMatchObject({ value: { duplicate: false } })
    expect(again).toMatchObject({
      value: { duplicate: true, localSubscribers: 0, id: (first as PromiseFulfilledResult<PublishReceipt>).value.id },
    })
    expect(other).toMatchObject({ status: 'fulfilled' })
    expect(mismatch).toMatchObject({ reason: { code: 'ERR_SSE_IDEMPOTENCY_MISMATCH', status: 422 } })
    expect(hub.stats().published).toBe(2)
  })

  it('forgets a key after 10 minutes', async () => {
    const clock = manualClock()
    const hub = makeHub(undefined, { clock })
    const publish = () => hub.publish('a', 1, { idempotencyKey: 'k' })
    await publish()
    clock.advance(599_999)
    expect(await publish()).toMatchObject({ duplicate: true })
    clock.advance(1)
    expect(await publish()).toMatchObject({ duplicate: false })
  })

  it('counts who hears it, once, live or catching up', async () => {
    const hub = makeHub()
    const url = await serve(appWith(five, hub))
    const paths = ['a.b', 'a.*', '%3E', 'c']
    for (const path of paths) await open(url, `/channels/${path}`).then((s) => s.next())
    await open(url, '/channels?channel=a.*&channel=a.b&channel=%3E').then((s) => s.next())
    expect(await hub.publish('a.b', 1)).toMatchObject({ localSubscribers: 4 })
    expect(await hub.publish('c', 1)).toMatchObject({ localSubscribers: 3 })
    expect(hub.channel('a.b').localSubscribers).toBe(4)
  })

  it('does not need to be awaited', async () => {
    const hub = makeHub(undefined, { broker: brokerWith({ publish: () => Promise.reject(new Error('away')) }) })
    const errors: unknown[] = []
    hub.on('error', (error, { channel }) => errors.push([(error as Error).message, channel]))
    hub.publish('a', 1)
    hub.publishAll([{ channel: 'b', data: 1 }])
    hub.channel('c').publish(1)
    await until(() => errors.length === 3)
    expect(errors.sort()).toEqual([
      ['away', 'a'],
      ['away', 'b'],
      ['away', 'c'],
    ])
  })
})

describe('publishAll', () => {
  it('is a batch in order, over channels, with receipts in order', async () => {
    const hub = makeHub()
    const events = hub.events(['a', 'b'])
    const receipts = await hub.publishAll([
      { channel: 'b', data: 1, event: 'x' },
      { channel: 'a', data: 2 },
      { channel: 'b', data: 3, idempotencyKey: 'k' },
      { channel: 'b', data: 3, idempotencyKey: 'k' },
    ])
    expect(receipts.map(({ channel, duplicate }) => [channel, duplicate])).toEqual([
      ['b', false],
      ['a', false],
      ['b', false],
      ['b', true],
    ])
    expect(receipts[3]!.id).toBe(receipts[2]!.id)
    const heard = [await events.next(), await events.next(), await events.next()].map(({ value }) => value)
    expect(heard).toMatchObject([
      { channel: 'b', event: 'x', data: 1, id: receipts[0]!.id },
      { channel: 'a', data: 2, id: receipts[1]!.id },
      { channel: 'b', data: 3, id: receipts[2]!.id },
    ])
    await events.return!()
  })

  it('is all or nothing', async () => {
    const hub = makeHub()
    await hub.publish('a', 0, { idempotencyKey: 'k' })
    for (const bad of [{ channel: 'a+', data: 1 }, { channel: 'a', data: 1, idempotencyKey: 'k' }, null]) {
      await expect(hub.publishAll([{ channel: 'a', data: 'no' }, bad as never])).rejects.toThrow()
    }
    expect(hub.stats().published).toBe(1)
  })

  it('of nothing is nothing', async () => {
    expect(await makeHub().publishAll([])).toEqual([])
  })

  it('of anything but an array rejects', async () => {
    const hub = makeHub()
    await expect(hub.publishAll(undefined as never)).rejects.toThrow(TypeError)
    await expect(hub.publishAll({} as never)).rejects.toThrow(TypeError)
  })

  it('has at most 1,000 events and 1 MiB', async () => {
    const hub = makeHub()
    const items = (count: number, data: unknown) => Array.from({ length: count }, () => ({ channel: 'a', data }))
    expect(await hub.publishAll(items(1_000, 1))).toHaveLength(1_000)
    await expect(hub.publishAll(items(1_001, 1))).rejects.toMatchObject({ code: 'ERR_SSE_BATCH_TOO_LARGE' })
    await expect(hub.publishAll(items(3, 'x'.repeat(400_000)))).rejects.toMatchObject({ status: 413 })
  })
})

describe('position', () => {
  it('is the end of the log when the broker is ready', async () => {
    const hub = makeHub()
    expect(await hub.position()).toMatch(/^\w{6}\.0$/)
    const { id } = await hub.publish('a', 1)
    expect(await hub.position()).toBe(id)
    const events = hub.events('a', { after: await hub.position() })
    const { id: next } = await hub.publish('a', 2)
    expect((await events.next()).value).toMatchObject({ id: next })
    await events.return!()
  })

  it('comes from a read, which may be ahead of the events handed over', async () => {
    const end = { epoch: 'abcdef', seq: 99 }
    const read = vi.fn(async () => ({ status: 'ok' as const, from: end, items: [], upto: end, end: true }))
    const hub = makeHub(five.lib, { broker: brokerWith({ read }) })
    expect(await hub.position()).toBe('abcdef.2r')
    await Promise.all([hub.position(), hub.position()])
    expect(read).toHaveBeenCalledTimes(3)
  })

  it('rejects when the hub is closing, and when the broker fails', async () => {
    const failure = new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'gone')
    const hub = makeHub(five.lib, { broker: brokerWith({ read: () => Promise.reject(failure) }) })
    const errors: unknown[] = []
    hub.on('error', (error) => errors.push(error))
    await expect(hub.position()).rejects.toBe(failure)
    await until(() => errors.length > 0)
    expect(errors).toEqual([failure])
    await hub.close()
    await expect(hub.position()).rejects.toMatchObject({ code: 'ERR_SSE_HUB_CLOSED' })
  })
})

describe('channel()', () => {
  it('is a handle with the methods of the hub', async () => {
    const hub = makeHub()
    const news = hub.channel('news')
    expect(news).toMatchObject({ name: 'news', localSubscribers: 0 })
    expect([...news.subscribers]).toEqual([])
    const events = news.events()
    const { id } = await news.publish({ a: 1 }, { event: 'x' })
    expect((await events.next()).value).toEqual({ channel: 'news', event: 'x', id, data: { a: 1 } })
    await events.return!()
  })

  it.each(['', 'a b', 'a.*', '>', 'x'.repeat(201)])('of %j throws', (name) => {
    expect(() => makeHub().channel(name)).toThrow(SseError)
  })
})

describe('disconnect', () => {
  it('closes who matches with revoked, and says how many', async () => {
    const hub = makeHub()
    const app = express()
    app.use(sse())
    app.get('/:user', (req, res) => hub.subscribe(res.sse, 'news', { info: req.params.user }))
    const url = await serve(app)
    const streams = []
    for (const user of ['a', 'b', 'a']) {
      const s = await open(url, `/${user}`)
      await s.next()
      streams.push(s)
    }
    expect(hub.disconnect(({ info, channels }) => info === 'a' && channels.includes('news'))).toBe(2)
    expect(hub.disconnect(() => false)).toBe(0)
    for (const s of [streams[0]!, streams[2]!]) {
      expect(await s.next()).toMatchObject({ event: 'hub.closed', id: undefined, data: '{"reason":"revoked"}' })
      await s.ended
    }
    await hub.publish('news', 1)
    expect((await streams[1]!.next()).data).toBe('1')
    expect(hub.stats()).toMatchObject({ streams: 1, closes: { revoked: 2 } })
  })

  it('of a stream that has not begun asks its client to reconnect', async () => {
    const hub = makeHub(undefined, { broker: brokerWith({ read: () => NEVER }) })
    const url = await serve(appWith(five, hub))
    const answer = ask(url, '/channels/a', { headers: EVENT_STREAM })
    await until(() => hub.stats().subscriptions === 1)
    expect(hub.stats()).toMatchObject({ streams: 0, channels: 1 })
    expect(hub.disconnect(() => true)).toBe(1)
    expect((await answer).body).toContain('overloaded')
  })
})

describe('stats', () => {
  it('is a plain object of numbers that changes nothing', async () => {
    const hub = makeHub()
    const zero = { trimmed: 0, diverged: 0, 'unknown-epoch': 0, 'bad-cursor': 0 }
    expect(hub.stats()).toEqual({
      ...NOBODY,
      published: 0,
      delivered: 0,
      resumed: { new: 0, resumed: 0, diverged: 0, 'unknown-epoch': 0, 'bad-cursor': 0 },
      gaps: zero,
      lagged: 0,
      closes: { client: 0, server: 0, slow: 0, expired: 0, revoked: 0, shutdown: 0, error: 0 },
    })
    hub.stats().gaps.trimmed = 5
    expect(hub.stats().gaps).toEqual(zero)
    expect(JSON.parse(JSON.stringify(hub.stats()))).toEqual(hub.stats())
  })

  it('counts deliveries, live and replayed, and returns to zero', async () => {
    const hub = makeHub()
    const url = await serve(appWith(five, hub))
    const live = await Promise.all([open(url, '/channels/a'), open(url, '/channels?channel=a&channel=b')])
    const ids = await Promise.all(live.map((s) => s.next().then(({ id }) => id)))
    await hub.publish('a', 1)
    await hub.publish('b', 2)
    await open(url, '/channels?channel=a&channel=b', { lastEventId: ids[0]! }).then(async (s) => {
      await s.next()
      await s.next()
      await s.next()
    })
    expect(hub.stats()).toMatchObject({ published: 2, delivered: 5, streams: 3, channels: 2 })
    for (const s of live) s.drop()
    await until(() => hub.stats().streams === 1)
    expect(hub.stats()).toMatchObject({ subscriptions: 1, channels: 2, closes: { client: 2 } })
  })
})

describe('on', () => {
  it('receives subscribe, unsubscribe, gap and refused; the returned function removes only its own listener', async () => {
    const hub = makeHub()
    const heard: unknown[] = []
    const listener = (subscription: { channels: readonly string[] }): void => void heard.push(subscription.channels)
    const off = hub.on('subscribe', listener)
    hub.on('subscribe', listener)
    hub.on('unsubscribe', ({ state }, reason) => heard.push([state, reason]))
    hub.on('gap', (_subscription, { reason }) => heard.push(reason))
    const url = await serve(appWith(five, hub))
    const s = await open(url, '/channels/a', { lastEventId: 'bad' })
    await s.next({ type: 'hub.gap' })
    s.drop()
    await until(() => heard.length === 4)
    expect(heard).toEqual([['a'], ['a'], 'bad-cursor', ['closed', 'client']])
    off()
    off()
    heard.length = 0
    await open(url, '/channels/b').then((t) => t.next())
    expect(heard).toEqual([['b']])
  })

  it('reports the exception of a listener as an error, affects no other listener, and drops the exception of an error listener', async () => {
    const hub = makeHub()
    const errors: unknown[] = []
    hub.on('subscribe', () => {
      throw new Error('listener')
    })
    const off = hub.on('error', () => {
      throw new Error('worse')
    })
    hub.on('error', (error) => errors.push((error as Error).message))
    const url = await serve(appWith(five, hub))
    const s = await open(url, '/channels/a')
    await s.next()
    await hub.publish('a', 1)
    expect((await s.next()).data).toBe('1')
    expect(errors).toEqual(['listener'])
    off()
  })

  it('without a listener for error is silent', async () => {
    const hub = makeHub()
    hub.on('subscribe', () => {
      throw new Error('without a listener')
    })
    const s = await open(appWith(five, hub), '/channels/a')
    await s.next()
    await expect(hub.publish('a b', 1)).rejects.toThrow()
  })

  it('lets a listener publish, disconnect and close, in the middle of anything', async () => {
    const hub = makeHub()
    hub.on('subscribe', (subscription) => {
      hub.publish('a', `welcome ${subscription.channels}`)
    })
    hub.on('unsubscribe', () => hub.disconnect(({ channels }) => channels.includes('b')))
    const url = await serve(appWith(five, hub))
    const a = await open(url, '/channels/a')
    expect((await a.next({ type: 'message' })).data).toBe('welcome a')
    const b = await open(url, '/channels/b')
    expect((await a.next()).data).toBe('welcome b')
    a.drop()
    expect((await b.next({ type: 'hub.closed' })).json()).toEqual({ reason: 'revoked' })
  })
})

describe('ready', () => {
  it('resolves when the broker is up; publish and subscribe wait for it', async () => {
    let up!: () => void
    const started = new Promise<void>((resolve) => {
      up = resolve
    })
    const real = memoryBroker()
    const broker = { ...brokerWith({}), start: (listener: BrokerListener) => started.then(() => real.start(listener)) }
    for (const name of ['publish', 'subscribe', 'unsubscribe', 'read', 'latest', 'close'] as const) {
      ;(broker as Record<string, unknown>)[name] = (real[name] as (...args: unknown[]) => unknown).bind(real)
    }
    const hub = makeHub(undefined, { broker })
    const url = await serve(appWith(five, hub))
    const done: string[] = []
    hub.ready().then(() => done.push('ready'))
    const published = hub.publish('a', 1).then(() => done.push('published'))
    const opening = open(url, '/channels/b').then(() => done.push('opened'))
    await until(() => hub.stats().subscriptions === 1)
    expect(done).toEqual([])
    up()
    await Promise.all([published, opening])
    expect(done[0]).toBe('ready')
  })
})

describe('close', () => {
  it('gives the same promise, and refuses new work from the call on', async () => {
    const hub = makeHub()
    const first = hub.close()
    expect(hub.close({ timeoutMs: 5 })).toBe(first)
    const refused = { code: 'ERR_SSE_HUB_CLOSED', status: 503 }
    await expect(hub.publish('a', 1)).rejects.toMatchObject(refused)
    await expect(hub.publishAll([{ channel: 'a', data: 1 }])).rejects.toMatchObject(refused)
    expect(() => hub.events('a')).toThrow(expect.objectContaining(refused))
    await first
    expect(hub.close()).toBe(first)
    expect(await hub[Symbol.asyncDispose]()).toBeUndefined()
  })

  it('writes every accepted event, then a random reconnection time and hub.closed, and ends', async () => {
    const hub = makeHub()
    const url = await serve(appWith(five, hub))
    const streams = await Promise.all(Array.from({ length: 30 }, () => open(url, '/channels/a')))
    await Promise.all(streams.map((s) => s.next()))
    const accepted = [hub.publish('a', 1), hub.publish('a', 2)]
    const closed = hub.close()
    expect(await Promise.all(accepted)).toMatchObject([{ localSubscribers: 30 }, { localSubscribers: 30 }])
    await closed
    const times = new Set<number>()
    for (const s of streams) {
      expect((await s.next()).data).toBe('1')
      expect((await s.next()).data).toBe('2')
      expect(await s.next()).toMatchObject({ event: 'hub.closed', id: undefined, data: '{"reason":"shutdown"}' })
      await s.ended
      expect(s.text()).toMatch(/retry: \d+\nevent: hub\.closed\ndata: \{"reason":"shutdown"\}\n\n$/)
      expect(s.reconnectionTimeMs).toBeGreaterThanOrEqual(2_000)
      expect(s.reconnectionTimeMs).toBeLessThanOrEqual(10_000)
      times.add(s.reconnectionTimeMs!)
    }
    expect(times.size).toBeGreaterThan(10)
    expect(hub.stats()).toMatchObject({ streams: 0, closes: { shutdown: 30 } })
  })

  it('sends the reconnection times that it is given, also to clients that come afterwards', async () => {
    const hub = makeHub()
    const app = express().use(sse())
    app.use('/channels', hub.router({ channels: ['>'], publish: 'anyone' }))
    app.get('/own', (_req, res) => void hub.subscribe(res.sse, 'a'))
    const url = await serve(app)
    const s = await open(url, '/channels/a')
    await s.next()
    await hub.close({ retryMs: [61_500, 61_500], timeoutMs: 1_000 })
    await s.ended
    expect(s.reconnectionTimeMs).toBe(61_500)
    for (const path of ['/channels/a', '/own']) {
      const late = await open(url, path)
      expect((await late.next()).data).toBe('{"reason":"overloaded"}')
      await late.ended
      expect(late.reconnectionTimeMs).toBe(61_500)
    }
    const refused = await post(url, '/channels/a', '1')
    expect(refused).toMatchObject({ status: 503, headers: { 'retry-after': '62' } })
  })

  it.each([
    ['timeoutMs', { timeoutMs: -1 }],
    ['timeoutMs', { timeoutMs: '10s' }],
    ['retryMs', { retryMs: 2_000 }],
    ['retryMs', { retryMs: [2_000] }],
    ['retryMs', { retryMs: [3_000, 2_000] }],
    ['retryMs', { retryMs: [0.5, 1] }],
    ['retryMs', { retryMs: ['a', 'b'] }],
    ['timeout', { timeout: 5 }],
  ])('with a wrong %s throws a TypeError that names it, and nothing closes', async (name, options) => {
    const hub = makeHub()
    expect(() => hub.close(options as never)).toThrow(TypeError)
    expect(() => hub.close(options as never)).toThrow(new RegExp(name))
    await hub.publish('a', 1)
  })

  it('ends a thousand streams evenly, at least 500 a second', async () => {
    const clock = manualClock()
    const hub = makeHub(undefined, { clock })
    const url = await serve(appWith(five, hub))
    const streams = await Promise.all(Array.from({ length: 40 }, () => open(url, '/channels/a')))
    await Promise.all(streams.map((s) => s.next()))
    const closed = hub.close({ timeoutMs: 400 })
    const left: number[] = []
    await until(() => {
      if (left.at(-1) !== hub.stats().streams) left.push(hub.stats().streams)
      clock.advance(20)
      return hub.stats().streams === 0
    })
    expect(left[0]).toBe(40)
    expect(left.length).toBeGreaterThanOrEqual(4)
    await closed
  })

  it('does not wait longer than it may for a broker that does not answer', async () => {
    const clock = manualClock()
    const broker = brokerWith({ publish: () => NEVER, close: () => NEVER })
    const hub = makeHub(undefined, { clock, broker })
    const errors: unknown[] = []
    hub.on('error', (error) => errors.push((error as SseError).code))
    const pending = expect(hub.publish('a', 1)).rejects.toMatchObject({ code: 'ERR_SSE_PUBLISH_UNKNOWN' })
    const closed = hub.close({ timeoutMs: 3_000 })
    let over = false
    closed.then(() => {
      over = true
    })
    await until(() => {
      clock.advance(500)
      return over
    })
    await pending
    expect(errors).toEqual(['ERR_SSE_PUBLISH_UNKNOWN'])
  })

  it('is what await using does', async () => {
    let inner: ChannelHub
    {
      await using hub = new ChannelHub()
      inner = hub
      await hub.publish('a', 1)
    }
    await expect(inner.publish('a', 1)).rejects.toMatchObject({ code: 'ERR_SSE_HUB_CLOSED' })
  })

  it('leaves the streams of the app without a subscription', async () => {
    const hub = makeHub()
    const app = express()
    app.use(sse())
    let plain!: (text: string) => void
    app.get('/', (_req, res) => {
      plain = (text) => void res.sse.send(text)
      res.sse.open()
    })
    const s = await open(app, '/')
    await hub.close()
    plain('still here')
    expect((await s.next()).data).toBe('still here')
  })
})

describe('a slow subscriber', () => {
  it('is lagging, receives the events it missed, conflated by their keys, and is live again', async () => {
    const hub = makeHub(undefined, { broker: memoryBroker({ history: { maxEvents: 10_000 } }) })
    const lagging: string[] = []
    hub.on('lagging', ({ state }) => lagging.push(state))
    const url = await serve(appWith(five, hub))
    const { Socket } = await import('node:net')
    const socket = new Socket()
    socket.connect(Number(new URL(url).port), '127.0.0.1')
    socket.write('GET /channels/a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n')
    await until(() => hub.stats().streams === 1)
    await new Promise((resolve) => socket.once('readable', resolve))
    // The client does not read: events fill the socket, and later ones stay in the log.
    const filler = 'x'.repeat(20_000)
    let n = 0
    while (hub.stats().lagged === 0) {
      await hub.publish('a', `${n++} ${filler}`, { conflationKey: n % 2 ? 'odd' : undefined })
      if (n > 5_000) throw new Error('never lagging')
    }
    for (const end = n + 50; n < end; ) await hub.publish('a', `${n++} ${filler}`, { conflationKey: 'odd' })
    expect(lagging).toEqual(['lagging'])
    expect(hub.stats().bufferedBytes).toBeGreaterThan(0)
    expect(hub.stats().bufferedBytes).toBeLessThan(400_000)
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
    })
    await until(() => text.includes(`data: ${n - 1} x`) && hub.stats().bufferedBytes === 0)
    await hub.publish('a', 'live again')
    await until(() => text.includes('live again'))
    const numbers = [...text.matchAll(/^data: (\d+) x/gm)].map((match) => Number(match[1]))
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    // Of the last 50, all of one key, only those survive that ended a page.
    expect(numbers.filter((number) => number >= n - 50).length).toBeLessThan(50)
    expect(text).not.toContain('hub.gap')
    socket.destroy()
  })

  it("with slowSubscriber: 'disconnect' is closed as slow", async () => {
    const hub = makeHub(undefined, { slowSubscriber: 'disconnect' })
    const url = await serve(appWith(five, hub))
    const { Socket } = await import('node:net')
    const socket = new Socket()
    socket.on('error', () => {})
    socket.connect(Number(new URL(url).port), '127.0.0.1')
    socket.write('GET /channels/a HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n')
    await until(() => hub.stats().streams === 1)
    const filler = 'x'.repeat(500_000)
    for (let n = 0; hub.stats().closes.slow === 0 && n < 200; n++) await hub.publish('a', filler)
    expect(hub.stats()).toMatchObject({ ...NOBODY, closes: { slow: 1 }, lagged: 0 })
    socket.destroy()
  })
})
