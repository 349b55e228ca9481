import type { Express } from 'express'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../../src/testing/index.ts'
import { appWith, ask, EVENT_STREAM, expectProblem, flavours, makeHub, open, serve } from './support.ts'

describe.each(flavours)('GET, Express $version', (flavour) => {
  const { express, lib } = flavour

  describe('a request that is refused', () => {
    const options = { channels: ['news', 'price.*', 'user.42.>'] }
    const cases: readonly (readonly [path: string, accept: string, status: number, code: string])[] = [
      ['/channels/news', 'text/html', 406, 'ERR_SSE_NOT_ACCEPTABLE'],
      ['/channels/news', 'text/event-stream;q=0, */*', 406, 'ERR_SSE_NOT_ACCEPTABLE'],
      ['/channels/news', '*/*;q=0', 406, 'ERR_SSE_NOT_ACCEPTABLE'],
      ['/channels/a+b', '*/*', 400, 'ERR_SSE_CHANNEL_NAME'],
      ['/channels/a%2Fb', '*/*', 400, 'ERR_SSE_CHANNEL_NAME'],
      ['/channels/a..b', '*/*', 400, 'ERR_SSE_CHANNEL_NAME'],
      [`/channels/${'a'.repeat(201)}`, '*/*', 400, 'ERR_SSE_CHANNEL_NAME'],
      ['/channels/%3E.a', '*/*', 400, 'ERR_SSE_CHANNEL_NAME'],
      ['/channels?channel=', '*/*', 400, 'ERR_SSE_CHANNEL_NAME'],
      ['/channels?channel=news,price.a', '*/*', 400, 'ERR_SSE_CHANNEL_NAME'],
      ['/channels', '*/*', 400, 'ERR_SSE_CHANNEL_REQUIRED'],
      ['/channels/', '*/*', 400, 'ERR_SSE_CHANNEL_REQUIRED'],
      ['/channels?channel[]=news', '*/*', 400, 'ERR_SSE_CHANNEL_REQUIRED'],
      [
        `/channels?${Array.from({ length: 65 }, (_, i) => `channel=price.${i}`).join('&')}`,
        '*/*',
        400,
        'ERR_SSE_TOO_MANY_CHANNELS',
      ],
      ['/channels/news?rewind=-1', '*/*', 400, 'ERR_SSE_REWIND'],
      ['/channels/news?rewind=1.5', '*/*', 400, 'ERR_SSE_REWIND'],
      ['/channels/news?rewind=0x10', '*/*', 400, 'ERR_SSE_REWIND'],
      ['/channels/news?rewind=+1', '*/*', 400, 'ERR_SSE_REWIND'],
      ['/channels/news?rewind=', '*/*', 400, 'ERR_SSE_REWIND'],
      ['/channels/news?rewind=1&rewind=2', '*/*', 400, 'ERR_SSE_REWIND'],
      ['/channels/sport', '*/*', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
      ['/channels/price', '*/*', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
      ['/channels/price.a.b', '*/*', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
      ['/channels?channel=news&channel=sport', '*/*', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
      ['/channels?channel=news&channel=user.*', '*/*', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
      // A pattern only where an entry covers it: none of these is within one entry.
      ['/channels/%3E', '*/*', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
      ['/channels/*', '*/*', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
      ['/channels/price.%3E', '*/*', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
      ['/channels/user.*.a', '*/*', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
      ['/channels/user.42', '*/*', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
    ]

    it.each(cases)('%s with Accept %s is %i %s', async (path, accept, status, code) => {
      const url = await serve(appWith(flavour, makeHub(lib), options))
      const answer = await ask(url, path, { headers: { accept } })
      expectProblem(answer, status, code)
      expect(answer.headers['cache-control']).toBe('no-store')
      // The same with the body that HEAD has not.
      const head = await ask(url, path, { method: 'HEAD', headers: { accept } })
      expect(head).toMatchObject({ status, body: '' })
      expect(head.headers['content-length']).toBe(answer.headers['content-length'])
    })

    it('is answered with its status even if the client requests an event stream', async () => {
      const url = await serve(appWith(flavour, makeHub(lib), options))
      expectProblem(await ask(url, '/channels/sport', { headers: EVENT_STREAM }), 404, 'ERR_SSE_CHANNEL_UNKNOWN')
      expectProblem(await ask(url, '/channels/+', { headers: EVENT_STREAM }), 400, 'ERR_SSE_CHANNEL_NAME')
    })

    it('is reported to on(refused), and nothing is subscribed', async () => {
      const hub = makeHub(lib)
      const refusals: unknown[] = []
      hub.on('refused', ({ req, code, status }) => refusals.push([req.url, code, status]))
      const url = await serve(appWith(flavour, hub, options))
      await ask(url, '/channels/sport')
      expect(refusals).toEqual([[expect.stringContaining('sport'), 'ERR_SSE_CHANNEL_UNKNOWN', 404]])
      expect(hub.stats()).toMatchObject({ streams: 0, subscriptions: 0, channels: 0 })
    })
  })

  describe('the head', () => {
    it.each([undefined, '', '*/*', 'text/*', 'text/html, */*;q=0.1', 'TEXT/Event-Stream'])(
      'is an event stream for Accept %s',
      async (accept) => {
        const s = await open(appWith(flavour, makeHub(lib)), '/channels/news', { headers: { accept } })
        expect(s.status).toBe(200)
        expect(s.headers).toMatchObject({
          'content-type': 'text/event-stream',
          'cache-control': 'no-cache, no-transform',
          'x-accel-buffering': 'no',
        })
        expect(s.headers).not.toHaveProperty('content-length')
        expect(s.headers).not.toHaveProperty('etag')
        await s.next({ type: 'hub.open' })
      },
    )

    it.each([{ cookie: 'a=1' }, { authorization: 'Bearer x' }])('is private with %o', async (headers) => {
      const s = await open(appWith(flavour, makeHub(lib)), '/channels/news', { headers })
      expect(s.headers['cache-control']).toBe('private, no-cache, no-transform')
    })

    it('keeps the headers that the app has set', async () => {
      const app = express()
      app.use((_req, res, next) => {
        res.set({ 'X-Own': '1', 'Set-Cookie': 'a=1', 'Content-Length': '5', ETag: '"x"', Vary: 'Origin' })
        next()
      })
      app.use(makeHub(lib).router({ channels: ['>'] }))
      const s = await open(app, '/news')
      expect(s.headers).toMatchObject({ 'x-own': '1', 'set-cookie': ['a=1'], vary: 'Origin, Accept' })
      expect(s.headers).not.toHaveProperty('content-length')
      expect(s.headers).not.toHaveProperty('etag')
    })
  })

  describe('the first block', () => {
    it('is hub.open with the position, exactly', async () => {
      const hub = makeHub(lib)
      const { id } = await hub.publish('news', 'before')
      const s = await open(appWith(flavour, hub), '/channels/news')
      await s.next({ type: 'hub.open' })
      expect(s.text()).toMatch(
        new RegExp(
          `^retry: [234]\\d{3}\nevent: hub\\.open\nid: ${id}\ndata: {"channels":\\["news"\\],"resumed":false,"heartbeatIntervalMs":15000,"envelope":false}\n\n$`,
        ),
      )
    })

    it('asks for a random reconnection time from 2000 to 4000', async () => {
      const url = await serve(appWith(flavour, makeHub(lib)))
      const streams = await Promise.all(Array.from({ length: 20 }, () => open(url, '/channels/news')))
      const times = await Promise.all(
        streams.map(async (s) => {
          await s.next()
          return s.reconnectionTimeMs!
        }),
      )
      expect(Math.min(...times)).toBeGreaterThanOrEqual(2_000)
      expect(Math.max(...times)).toBeLessThanOrEqual(4_000)
      expect(new Set(times).size).toBeGreaterThan(5)
    })

    it('names every channel once, in the order of the request, and patterns as they are', async () => {
      const s = await open(
        appWith(flavour, makeHub(lib), { channels: ['>'] }),
        '/channels?channel=b&channel=a&channel=b&channel=x.*&channel=y.%3E',
      )
      expect((await s.next()).json()).toEqual({
        channels: ['b', 'a', 'x.*', 'y.>'],
        resumed: false,
        envelope: false,
        heartbeatIntervalMs: 15_000,
      })
    })

    it('has the options of sse() when that is mounted, the deepest of several', async () => {
      const app = express()
      app.use(lib.sse({ heartbeatIntervalMs: 0, retryMs: 500 }))
      app.use('/deep', lib.sse({ heartbeatIntervalMs: 7_000, retryMs: 60_000 }))
      app.use('/deep', makeHub(lib).router({ channels: ['>'] }))
      app.use(makeHub(lib).router({ channels: ['>'] }))
      const deep = await open(app, '/deep/news')
      expect((await deep.next()).json()).toMatchObject({ heartbeatIntervalMs: 7_000 })
      expect(deep.reconnectionTimeMs).toBeGreaterThanOrEqual(60_000)
      const shallow = await open(app, '/news')
      expect((await shallow.next()).json()).toMatchObject({ heartbeatIntervalMs: 0 })
      expect(shallow.reconnectionTimeMs).toBeLessThanOrEqual(1_000)
    })
  })

  describe('a position', () => {
    /** The app, and the IDs of three events on `news`. */
    async function three(): Promise<{ app: Express; ids: string[]; hub: ReturnType<typeof makeHub> }> {
      const hub = makeHub(lib)
      const receipts = await hub.publishAll([
        { channel: 'news', data: 'one' },
        { channel: 'news', data: { n: 2 }, event: 'json' },
        { channel: 'news', data: 'three' },
      ])
      return { app: appWith(flavour, hub), ids: receipts.map(({ id }) => id), hub }
    }

    it('in the header is the position to resume from: replay, then live', async () => {
      const { app, ids, hub } = await three()
      const s = await open(app, '/channels/news', { lastEventId: ids[0]! })
      const first = await s.next()
      expect(first).toMatchObject({ event: 'hub.open', id: ids[0] })
      expect(first.json()).toMatchObject({ resumed: true })
      expect(await s.next()).toMatchObject({ event: 'json', id: ids[1], data: '{"n":2}' })
      expect(await s.next()).toMatchObject({ event: 'message', id: ids[2], data: 'three' })
      const { id } = await hub.publish('news', 'four')
      expect(await s.next()).toMatchObject({ id, data: 'four' })
      expect(hub.stats()).toMatchObject({ resumed: { resumed: 1, new: 0 } })
    })

    it('may be in the query; the header wins, unless it is empty', async () => {
      const { app, ids } = await three()
      const url = await serve(app)
      const query = await open(url, `/channels/news?lastEventId=${ids[1]}`)
      expect(await query.next()).toMatchObject({ event: 'hub.open', id: ids[1] })
      expect(await query.next()).toMatchObject({ data: 'three' })
      const both = await open(url, `/channels/news?lastEventId=${ids[0]}`, { lastEventId: ids[2]! })
      expect(await both.next()).toMatchObject({ event: 'hub.open', id: ids[2] })
      const empty = await open(url, `/channels/news?lastEventId=${ids[1]}`, { headers: { 'last-event-id': '' } })
      expect(await empty.next()).toMatchObject({ event: 'hub.open', id: ids[1] })
    })

    it('is read from the URL itself when the query parser is off', async () => {
      const hub = makeHub(lib)
      const { id } = await hub.publish('news', 'one')
      await hub.publish('news', 'two')
      const app = appWith(flavour, hub)
      app.set('query parser', false)
      const s = await open(app, `/channels?channel=news&lastEventId=${id}`)
      expect(await s.next()).toMatchObject({ event: 'hub.open', id })
      expect(await s.next()).toMatchObject({ data: 'two' })
    })

    it.each(['garbage', 'k3f9a2', 'é', 'a, b'])(
      'that is not valid (%s) is a gap, and hub.open has no id',
      async (lastEventId) => {
        const { app, ids, hub } = await three()
        const s = await open(app, '/channels/news', { lastEventId })
        const first = await s.next()
        expect(first).toMatchObject({ event: 'hub.open', id: undefined })
        expect(first.json()).toMatchObject({ resumed: false })
        const gap = await s.next()
        expect(gap).toMatchObject({ event: 'hub.gap', id: ids[2] })
        expect(gap.json()).toEqual({ reason: 'bad-cursor', channels: ['news'], from: null, to: ids[2] })
        expect(hub.stats()).toMatchObject({ gaps: { 'bad-cursor': 1 }, resumed: { 'bad-cursor': 1 } })
      },
    )

    it('of another life of the log is a gap of unknown-epoch', async () => {
      const { app, ids } = await three()
      const s = await open(app, '/channels?channel=a&channel=news', { lastEventId: 'zzzzzz.5' })
      expect(await s.next()).toMatchObject({ event: 'hub.open', id: undefined })
      const gap = await s.next()
      expect(gap.id).toBe(ids[2])
      expect(gap.json()).toEqual({ reason: 'unknown-epoch', channels: ['a', 'news'], from: 'zzzzzz.5', to: ids[2] })
    })

    it('past the end of the log is a gap of diverged', async () => {
      const { app, ids } = await three()
      const from = `${ids[0]!.slice(0, 7)}zzz`
      const s = await open(app, '/channels/news', { lastEventId: from })
      expect(await s.next()).toMatchObject({ event: 'hub.open', id: undefined })
      const gap = await s.next()
      expect(gap.id).toBe(ids[2])
      expect(gap.json()).toEqual({ reason: 'diverged', channels: ['news'], from, to: ids[2] })
    })

    it('whose events are partly trimmed resumes, with a trimmed gap in its place', async () => {
      const broker = lib.memoryBroker({ history: { channels: { short: { maxEvents: 1 } } } })
      const hub = makeHub(lib, { broker })
      const gaps: unknown[] = []
      hub.on('gap', (subscription, gap) => gaps.push([subscription.channels, gap]))
      const { id: start } = await hub.publish('long', 0)
      const [, b, c] = await hub.publishAll([
        { channel: 'short', data: 1 },
        { channel: 'short', data: 2 },
        { channel: 'long', data: 3 },
        { channel: 'short', data: 4 },
      ])
      const s = await open(appWith(flavour, hub), '/channels?channel=short&channel=long', { lastEventId: start })
      const first = await s.next()
      expect(first).toMatchObject({ event: 'hub.open', id: start })
      expect(first.json()).toMatchObject({ resumed: true })
      const gap = { reason: 'trimmed', channels: ['short'], from: start, to: b!.id }
      const told = await s.next()
      expect(told).toMatchObject({ event: 'hub.gap', id: b!.id })
      expect(told.json()).toEqual(gap)
      expect(await s.next()).toMatchObject({ data: '3', id: c!.id })
      expect(await s.next()).toMatchObject({ data: '4' })
      expect(gaps).toEqual([[['short', 'long'], gap]])
    })
  })

  describe('rewind', () => {
    it.each([
      ['2', ['3', '4']],
      ['99999999999999999999', ['1', '2', '3', '4']],
      ['0', []],
    ])('=%s begins with the last events of each channel', async (rewind, expected) => {
      const hub = makeHub(lib)
      for (const n of [1, 2, 3, 4]) await hub.publish('news', n)
      await hub.publish('other', 9)
      const s = await open(appWith(flavour, hub), `/channels/news?rewind=${rewind}`)
      await s.next({ type: 'hub.open' })
      await hub.publish('news', 'live')
      const received: string[] = []
      for (let e = await s.next(); e.data !== 'live'; e = await s.next()) received.push(e.data)
      expect(received).toEqual(expected)
    })

    it('above 1000 means 1000, in code as well', async () => {
      const broker = lib.memoryBroker({ history: { maxEvents: 3_000 } })
      const hub = makeHub(lib, { broker })
      for (const from of [0, 600]) {
        await hub.publishAll(Array.from({ length: 600 }, (_, i) => ({ channel: 'news', data: from + i })))
      }
      const app = appWith(flavour, hub)
      app.use(lib.sse())
      app.get('/code', (_req, res) => hub.subscribe(res.sse, 'news', { rewind: 5_000 }))
      for (const path of ['/channels/news?rewind=5000', '/code']) {
        const s = await open(app, path)
        await s.next({ type: 'hub.open' })
        expect((await s.next()).data).toBe('200')
        for (let i = 201; i < 1_200; i++) expect((await s.next()).data).toBe(String(i))
      }
    })

    it('is ignored with a usable position, and used without one', async () => {
      const hub = makeHub(lib)
      await hub.publish('news', 1)
      const { id } = await hub.publish('news', 2)
      await hub.publish('news', 3)
      const url = await serve(appWith(flavour, hub))
      const resumed = await open(url, '/channels/news?rewind=3', { lastEventId: id })
      await resumed.next({ type: 'hub.open' })
      expect((await resumed.next()).data).toBe('3')
      for (const lastEventId of ['garbage', 'zzzzzz.1']) {
        const s = await open(url, '/channels/news?rewind=2', { lastEventId })
        expect(await s.next()).toMatchObject({ event: 'hub.open', id: undefined })
        expect((await s.next()).event).toBe('hub.gap')
        expect((await s.next()).data).toBe('2')
        expect((await s.next()).data).toBe('3')
      }
    })
  })

  describe('?envelope=1', () => {
    it('names the channel and the type, and distinguishes text "5" from number 5', async () => {
      const hub = makeHub(lib)
      const url = await serve(appWith(flavour, hub))
      const wrapped = await open(url, '/channels?channel=a&channel=b&envelope=1')
      const plain = await open(url, '/channels?channel=a&channel=b')
      for (const s of [wrapped, plain]) await s.next({ type: 'hub.open' })
      const { id } = await hub.publish('a', '5')
      await hub.publish('b', 5, { event: 'number' })
      await hub.publish('b', 'two\nlines')
      const first = await wrapped.next()
      expect(first).toMatchObject({ event: 'message', id, data: '{"channel":"a","data":"5"}' })
      expect(await wrapped.next()).toMatchObject({
        event: 'message',
        data: '{"channel":"b","event":"number","data":5}',
      })
      expect((await wrapped.next()).json()).toEqual({ channel: 'b', data: 'two\nlines' })
      expect(await plain.next()).toMatchObject({ event: 'message', id, data: '5' })
      expect(await plain.next()).toMatchObject({ event: 'number', data: '5' })
      expect(await plain.next()).toMatchObject({ data: 'two\nlines' })
    })

    it('leaves the events of the hub as they are, and works for a replay', async () => {
      const hub = makeHub(lib)
      await hub.publish('a', { x: 1 })
      const s = await open(appWith(flavour, hub), '/channels/a?envelope=1&rewind=1', { lastEventId: 'bad' })
      expect((await s.next()).event).toBe('hub.open')
      expect((await s.next()).json()).toMatchObject({ reason: 'bad-cursor' })
      expect((await s.next()).json()).toEqual({ channel: 'a', data: { x: 1 } })
    })

    it.each(['0', '', 'true'])('=%s is not an envelope', async (value) => {
      const hub = makeHub(lib)
      await hub.publish('a', 1)
      const s = await open(appWith(flavour, hub), `/channels/a?envelope=${value}&rewind=1`)
      await s.next({ type: 'hub.open' })
      expect(await s.next()).toMatchObject({ data: '1' })
    })
  })

  it('serves a pattern where an entry covers it, each event once and in order', async () => {
    const hub = makeHub(lib)
    const app = appWith(flavour, hub, { channels: ['price.*', 'user.42.>', 'news'] })
    const s = await open(app, '/channels?channel=price.*&channel=price.a&channel=user.42.*&channel=user.42.%3E')
    await s.next({ type: 'hub.open' })
    await hub.publishAll([
      { channel: 'price.a', data: 1 },
      { channel: 'news', data: 'no' },
      { channel: 'user.42.x', data: 2 },
      { channel: 'user.42.x.y', data: 3 },
      { channel: 'user.42', data: 'no' },
      { channel: 'price.b', data: 4 },
    ])
    expect([(await s.next()).data, (await s.next()).data, (await s.next()).data, (await s.next()).data]).toEqual([
      '1',
      '2',
      '3',
      '4',
    ])
  })

  it('sends hub.position at a heartbeat when the log has moved, else a comment', async () => {
    const clock = manualClock()
    const hub = makeHub(lib, { clock })
    const s = await open(appWith(flavour, hub), '/channels/news')
    await s.next({ type: 'hub.open' })
    const { id } = await hub.publish('other', 1)
    clock.advance(15_000)
    const position = await s.next()
    expect(position).toMatchObject({ event: 'hub.position', id, data: '{}' })
    clock.advance(15_000)
    await hub.publish('news', 'end')
    await s.next()
    expect(s.comments).toHaveLength(1)
  })

  it('answers 204 to a client that received hub.finished, and subscribes nothing', async () => {
    const hub = makeHub(lib)
    const url = await serve(appWith(flavour, hub))
    for (const method of ['GET', 'HEAD']) {
      const headers = { ...EVENT_STREAM, 'last-event-id': 'hub.finished' }
      const answer = await ask(url, '/channels/news', { method, headers })
      expect(answer).toMatchObject({ status: 204, body: '' })
    }
    expect((await ask(url, '/channels/news?lastEventId=hub.finished')).status).toBe(204)
    expect(hub.stats().resumed.new).toBe(0)
  })

  describe('HEAD', () => {
    it('has the head, ends, and subscribes nothing', async () => {
      const hub = makeHub(lib)
      const seen: unknown[] = []
      hub.on('subscribe', (s) => seen.push(s))
      const url = await serve(appWith(flavour, hub))
      const answer = await ask(url, '/channels/news', { method: 'HEAD', headers: { ...EVENT_STREAM, cookie: 'a=1' } })
      expect(answer).toMatchObject({ status: 200, body: '' })
      expect(answer.headers).toMatchObject({
        'content-type': 'text/event-stream',
        'cache-control': 'private, no-cache, no-transform',
      })
      expect(seen).toEqual([])
    })

    it('asks the hook as well', async () => {
      const hub = makeHub(lib)
      const app = appWith(flavour, hub, { channels: ['>'], subscribe: () => false })
      const answer = await ask(await serve(app), '/channels/news', { method: 'HEAD' })
      expect(answer).toMatchObject({ status: 403, body: '' })
    })
  })

  it('does not keep what Express routed the request with, once the stream is open', async () => {
    const hub = makeHub(lib)
    const app = express()
    let routed: import('express').Request | undefined
    app.use('/a', (req, _res, next) => {
      routed = req
      next()
    })
    app.use('/a', hub.router({ channels: ['news'] }))
    const url = await serve(app)
    const s = await open(url, '/a/news')
    await s.next({ type: 'hub.open' })
    await hub.publish('news', 'x')
    expect((await s.next()).data).toBe('x')
    // Somebody may still call it.
    const { next } = routed!
    next!(new Error('late'))
    next!()
    expect(routed!.next).toBe(next)
    const t = await open(url, '/a/news')
    await t.next({ type: 'hub.open' })
    expect(routed!.next).toBe(next)
    expect(s.status).toBe(200)
  })
})
