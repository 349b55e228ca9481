import type { Response } from 'express'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { pattern } from '../../src/channel-name.ts'
import type { EventStream, Subscription } from '../../src/index.ts'
import {
  ask,
  brokerWith,
  EVENT_STREAM,
  expectOverload,
  expectProblem,
  flavours,
  makeHub,
  NOBODY,
  open,
  serve,
  until,
} from './support.ts'

/** Unhandled rejections. A process with Express 4 would end. */
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

describe.each(flavours)('hub.subscribe(res.sse, …), Express $version', (flavour) => {
  const { express, lib } = flavour

  /** A route that subscribes, and the outcome. */
  async function route(
    handler: (sse: EventStream, res: Response) => Promise<Subscription> | Promise<Subscription>[],
  ): Promise<{ url: string; results: (Subscription | Error)[] }> {
    const results: (Subscription | Error)[] = []
    const app = express()
    app.use(lib.sse())
    app.get('/', (_req, res) => {
      for (const result of [handler(res.sse, res)].flat()) {
        result.then(
          (subscription) => results.push(subscription),
          (error) => results.push(error),
        )
      }
    })
    return { url: await serve(app), results }
  }

  it('opens the stream, and resolves when hub.open is written', async () => {
    const hub = makeHub(lib)
    const { id } = await hub.publish('news', 0)
    const { url, results } = await route((sse) =>
      hub.subscribe(sse, ['news', pattern('u.*'), 'news'], { info: { me: 1 }, envelope: true }),
    )
    const s = await open(url, '/')
    const first = await s.next()
    expect(first).toMatchObject({ event: 'hub.open', id })
    const subscription = results[0] as Subscription
    expect(subscription).toMatchObject({
      id: expect.any(String),
      channels: ['news', 'u.*'],
      info: { me: 1 },
      position: id,
      resumed: false,
      state: 'live',
      since: expect.any(Date),
    })
    const receipt = await hub.publish('u.x', 1)
    expect(await s.next()).toMatchObject({ id: receipt.id, data: '{"channel":"u.x","data":1}' })
    expect(subscription.position).toBe(receipt.id)
    subscription.close()
    subscription.close()
    await s.ended
    expect(subscription).toMatchObject({ state: 'closed', position: receipt.id })
    expect(hub.stats().closes.server).toBe(1)
  })

  it('takes its position from the request, or from `after`', async () => {
    const hub = makeHub(lib)
    const { id: a } = await hub.publish('news', 'a')
    const { id: b } = await hub.publish('news', 'b')
    await hub.publish('news', 'c')
    const own = await route((sse) => hub.subscribe(sse, 'news'))
    const s = await open(own.url, '/', { lastEventId: b })
    expect((await s.next()).json()).toMatchObject({ resumed: true })
    expect((await s.next()).data).toBe('c')
    expect(own.results[0]).toMatchObject({ resumed: true })
    const given = await route((sse) => hub.subscribe(sse, 'news', { after: a }))
    const t = await open(given.url, '/', { lastEventId: b })
    await t.next()
    expect((await t.next()).data).toBe('b')
    const none = await route((sse) => hub.subscribe(sse, 'news', { after: '', rewind: 1 }))
    const u = await open(none.url, '/', { lastEventId: a })
    expect((await u.next()).json()).toMatchObject({ resumed: false })
    expect((await u.next()).data).toBe('c')
  })

  it('adds and removes channels on the way, with no second hub.open', async () => {
    const hub = makeHub(lib)
    const { url, results } = await route((sse) => hub.subscribe(sse, 'a'))
    const s = await open(url, '/')
    await s.next()
    await hub.publish('b', 'too early')
    const subscription = results[0] as Subscription
    await subscription.add(['b', pattern('c.*')])
    expect(subscription.channels).toEqual(['a', 'b', 'c.*'])
    await hub.publish('b', 1)
    await hub.publish('c.x', 2)
    expect([(await s.next()).data, (await s.next()).data]).toEqual(['1', '2'])
    await subscription.remove('b')
    await subscription.add('a')
    await hub.publish('b', 'no')
    await hub.publish('a', 3)
    expect((await s.next()).data).toBe('3')
    await expect(subscription.add('a+b')).rejects.toMatchObject({ code: 'ERR_SSE_CHANNEL_NAME' })
    await expect(subscription.remove(['a', pattern('c.*')])).rejects.toMatchObject({ code: 'ERR_SSE_CHANNEL_REQUIRED' })
    expect(subscription.channels).toEqual(['a', 'c.*'])
    expect(s.text()).not.toMatch(/no|too early/)
    expect(s.text().match(/hub\.open/g)).toHaveLength(1)
    expect(hub.stats().channels).toBe(2)
  })

  it('lets the app send on the same stream, but not with an id', async () => {
    const hub = makeHub(lib)
    let thrown: unknown
    const { url } = await route(async (sse) => {
      const subscription = await hub.subscribe(sse, 'news')
      sse.send({ own: true }, { event: 'own' })
      try {
        sse.send('x', { id: '7' })
      } catch (error) {
        thrown = error
      }
      sse.comment('still open')
      return subscription
    })
    const s = await open(url, '/')
    const { id } = await s.next()
    expect(await s.next()).toMatchObject({ event: 'own', id: undefined, data: '{"own":true}' })
    await hub.publish('news', 1)
    await s.next()
    expect(thrown).toMatchObject({ code: 'ERR_SSE_ID_RESERVED' })
    expect(s.lastEventId).not.toBe(id)
    expect(s.comments).toEqual(['still open'])
  })

  it('continues a stream that the app has opened itself', async () => {
    const hub = makeHub(lib)
    const { url } = await route((sse) => {
      sse.open().send('hello')
      return hub.subscribe(sse, 'news')
    })
    const s = await open(url, '/')
    expect((await s.next()).data).toBe('hello')
    expect((await s.next()).event).toBe('hub.open')
  })

  it('is one per stream', async () => {
    const hub = makeHub(lib)
    const { url, results } = await route((sse) => [hub.subscribe(sse, 'a'), hub.subscribe(sse, 'b')])
    const s = await open(url, '/')
    expect((await s.next()).json()).toMatchObject({ channels: ['a'] })
    await until(() => results.length === 2)
    expect(results).toContainEqual(expect.objectContaining({ code: 'ERR_SSE_SUBSCRIBED', status: 500 }))
    expect(hub.stats()).toMatchObject({ streams: 1, channels: 1 })
  })

  it.each([
    ['a bad name', 'a+b', 400, 'ERR_SSE_CHANNEL_NAME'],
    ['no name', [], 400, 'ERR_SSE_CHANNEL_REQUIRED'],
    ['too many', Array.from({ length: 65 }, (_, i) => `c${i}`), 400, 'ERR_SSE_TOO_MANY_CHANNELS'],
  ] as const)('answers a refusal itself: %s', async (_name, channels, status, code) => {
    const hub = makeHub(lib)
    const { url, results } = await route((sse) => hub.subscribe(sse, channels as string[], { info: 7 }))
    // Accept does not matter: the route is not a router, and the handler did not check it.
    expectProblem(await ask(url, '/', { headers: EVENT_STREAM }), status, code)
    expect(results).toEqual([expect.objectContaining({ state: 'closed', info: 7 })])
  })

  it('answers overload itself', async () => {
    const hub = makeHub(lib, { maxStreams: 1 })
    const { url, results } = await route((sse) => hub.subscribe(sse, 'a'))
    await open(url, '/').then((s) => s.next())
    expectOverload(await ask(url, '/', { headers: EVENT_STREAM }))
    expectProblem(await ask(url, '/'), 503, 'ERR_SSE_OVERLOADED')
    await hub.close()
    expectOverload(await ask(url, '/', { headers: EVENT_STREAM }))
    expectProblem(await ask(url, '/'), 503, 'ERR_SSE_HUB_CLOSED')
    expect(results.slice(1).every((result) => (result as Subscription).state === 'closed')).toBe(true)
  })

  it('rejects with a refusal when the stream has begun: it can no longer be answered', async () => {
    const hub = makeHub(lib)
    const { url, results } = await route((sse) => hub.subscribe(sse.open(), 'a+b').finally(() => sse.close()))
    const s = await open(url, '/')
    await s.ended
    expect(results).toEqual([expect.objectContaining({ code: 'ERR_SSE_CHANNEL_NAME' })])
    expect(s.text()).not.toContain('problem')
  })

  it('looks at no Accept: the handler decides what to offer', async () => {
    const hub = makeHub(lib)
    const { url } = await route((sse) => hub.subscribe(sse, 'a'))
    const s = await open(url, '/', { headers: { accept: 'application/json' } })
    expect((await s.next()).event).toBe('hub.open')
  })

  it('rejects invalid arguments with a TypeError, and needs no .catch', async () => {
    const hub = makeHub(lib)
    const errors: unknown[] = []
    hub.on('error', (error) => errors.push(error))
    const { url } = await route((sse, res) => {
      hub.subscribe(undefined as never, 'a')
      hub.subscribe({} as never, 'a')
      hub.subscribe(sse, 'a', { rewind: -1 })
      hub.subscribe(sse, 'a', { rewnd: 1 } as never)
      hub.subscribe(sse, 'a', 'x' as never)
      res.send('mine')
      return []
    })
    expect(await ask(url, '/')).toMatchObject({ status: 200, body: 'mine' })
    await until(() => errors.length === 5)
    expect(errors.every((error) => error instanceof TypeError)).toBe(true)
    expect(hub.stats()).toMatchObject(NOBODY)
  })

  it('answers for a broker that fails, and reports it', async () => {
    const hub = makeHub(lib, { broker: brokerWith({ subscribe: () => Promise.reject(new Error('secret')) }, lib) })
    const errors: unknown[] = []
    hub.on('error', (error) => errors.push(error))
    const { url, results } = await route((sse) => hub.subscribe(sse, 'a'))
    expectOverload(await ask(url, '/', { headers: EVENT_STREAM }))
    expect(results).toEqual([expect.objectContaining({ state: 'closed' })])
    await until(() => errors.length > 0)
    expect(errors).toEqual([expect.objectContaining({ message: 'secret' })])
  })

  it('does not change an answer of other code', async () => {
    const hub = makeHub(lib)
    const { url, results } = await route((sse, res) => {
      res.write('half')
      return hub.subscribe(sse, 'a').finally(() => res.end())
    })
    expect(await ask(url, '/')).toMatchObject({ status: 200, body: 'half' })
    expect(results).toEqual([expect.objectContaining({ code: 'ERR_SSE_HEADERS_SENT' })])
    const late = await route((sse, res) => {
      const result = hub.subscribe(sse, 'a')
      res.send('first')
      return result
    })
    expect(await ask(late.url, '/')).toMatchObject({ status: 200, body: 'first' })
    await until(() => late.results.length === 1)
    expect(hub.stats()).toMatchObject(NOBODY)
  })

  it('after an await with the client gone leaves nothing behind, and resolves a closed one', async () => {
    const hub = makeHub(lib)
    let go!: () => void
    let gone = false
    const results: Subscription[] = []
    const app = express()
    app.use(lib.sse())
    app.get('/', async (_req, res) => {
      res.on('close', () => {
        gone = true
      })
      await new Promise<void>((resolve) => {
        go = resolve
      })
      // Asked for only now: no stream listened when the client left.
      results.push(await hub.subscribe(res.sse, ['a', pattern('b.*')]))
    })
    const url = await serve(app)
    const leaving = new AbortController()
    const response = fetch(url, { signal: leaving.signal }).catch(() => {})
    await until(() => go !== undefined)
    leaving.abort()
    await response
    await until(() => gone)
    go()
    await until(() => results.length === 1)
    expect(results[0]).toMatchObject({ state: 'closed' })
    expect(hub.stats()).toMatchObject({ ...NOBODY, resumed: { new: 0 } })
  })

  it('of a client that leaves while the broker answers leaves nothing behind', async () => {
    let confirm!: () => void
    const unsubscribed: unknown[] = []
    const broker = brokerWith(
      {
        subscribe: () =>
          new Promise<void>((resolve) => {
            confirm = resolve
          }),
        unsubscribe: (selector) => unsubscribed.push(selector.channels),
      },
      lib,
    )
    const hub = makeHub(lib, { broker })
    const { url, results } = await route((sse) => hub.subscribe(sse, 'a'))
    const leaving = new AbortController()
    const response = fetch(url, { signal: leaving.signal }).catch(() => {})
    await until(() => confirm !== undefined)
    leaving.abort()
    await response
    await until(() => results.length === 1)
    expect(results[0]).toMatchObject({ state: 'closed' })
    confirm()
    await until(() => unsubscribed.length === 1)
    expect(hub.stats()).toMatchObject(NOBODY)
  })

  it('answers HEAD with the head, 204 to hub.finished, and subscribes neither', async () => {
    const hub = makeHub(lib)
    const { url, results } = await route((sse) => hub.subscribe(sse, 'a'))
    expect(await ask(url, '/', { method: 'HEAD' })).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/event-stream' },
    })
    expect((await ask(url, '/', { headers: { 'last-event-id': 'hub.finished' } })).status).toBe(204)
    await until(() => results.length === 2)
    expect(results.every((result) => (result as Subscription).state === 'closed')).toBe(true)
    expect(hub.stats().resumed.new).toBe(0)
  })

  it('ends permanently with res.sse.finish()', async () => {
    const hub = makeHub(lib)
    const { url, results } = await route(async (sse) => {
      const subscription = await hub.subscribe(sse, 'a')
      sse.finish()
      return subscription
    })
    const s = await open(url, '/')
    await s.next()
    expect(await s.next()).toMatchObject({ event: 'hub.finished', id: 'hub.finished', data: '{}' })
    await s.ended
    expect(results[0]).toMatchObject({ state: 'closed' })
    await s.reconnect()
    expect(s.status).toBe(204)
  })

  it('works by the handle of a channel', async () => {
    const hub = makeHub(lib)
    const news = hub.channel('news')
    const { url } = await route((sse) => news.subscribe(sse, { rewind: 1, info: 'me' }))
    await news.publish('old')
    const s = await open(url, '/')
    await s.next()
    expect((await s.next()).data).toBe('old')
    expect(news).toMatchObject({ name: 'news', localSubscribers: 1 })
    expect([...news.subscribers].map(({ info }) => info)).toEqual(['me'])
    expect([...news.subscribers]).toHaveLength(1)
  })

  it('works with eventStream(), where res.sse is taken', async () => {
    const hub = makeHub(lib)
    const app = express()
    app.get('/', (req, res) => {
      hub.subscribe(lib.eventStream(req, res, { heartbeatIntervalMs: 1_000 }), 'a')
    })
    const s = await open(app, '/')
    expect((await s.next()).json()).toMatchObject({ heartbeatIntervalMs: 1_000 })
  })
})
