import cors from 'cors'
import type { Express, Request, RequestHandler } from 'express'
import { describe, expect, it } from 'vitest'
import type { ChannelHub } from '../../src/index.ts'
import { appWith, ask, EVENT_STREAM, expectProblem, flavours, makeHub, NOBODY, open, post, serve } from './support.ts'

describe.each(flavours)('routers, Express $version', (flavour) => {
  const { express, lib } = flavour

  it('are of the Express that is the peer', () => {
    const router = makeHub(lib).router({ channels: ['>'] })
    // In Express 4 a router has its methods from the function that makes it, in Express 5 from its prototype.
    if (flavour.version === 4) expect(Object.getPrototypeOf(router)).toBe(express.Router)
    else expect(router).toBeInstanceOf(express.Router)
    expect(lib.ChannelHub === flavours.find(({ lib: other }) => other !== lib)!.lib.ChannelHub).toBe(false)
  })

  describe('methods', () => {
    const app = (publish?: 'anyone'): Express => {
      const hub = makeHub(lib)
      const app = express()
      app.use('/channels', hub.router({ channels: ['>'], publish }))
      app.use('/one', hub.channel('news').router({ publish }))
      return app
    }

    it.each(['PUT', 'PATCH', 'DELETE', 'PROPFIND'])('%s is 405 with Allow', async (method) => {
      const closed = await serve(app())
      const open = await serve(app('anyone'))
      for (const [url, path, allow] of [
        [open, '/channels/news', 'GET, HEAD, POST'],
        [open, '/channels', 'GET, HEAD'],
        [open, '/one', 'GET, HEAD, POST'],
        [closed, '/channels/news', 'GET, HEAD'],
        [closed, '/one', 'GET, HEAD'],
      ] as const) {
        const answer = await ask(url, path, { method })
        expect(expectProblem(answer, 405, 'ERR_SSE_METHOD_NOT_ALLOWED')).toContain(method)
        expect(answer.headers.allow).toBe(allow)
      }
    })

    it('POST on the bare mount is 405', async () => {
      const answer = await post(await serve(app('anyone')), '/channels', '1')
      expectProblem(answer, 405, 'ERR_SSE_METHOD_NOT_ALLOWED')
      expect(answer.headers.allow).toBe('GET, HEAD')
    })

    it('OPTIONS is left to Express', async () => {
      const answer = await ask(await serve(app('anyone')), '/channels/news', { method: 'OPTIONS' })
      expect(answer.status).toBe(200)
      expect(answer.headers.allow!.split(/, ?/).sort()).toEqual(['GET', 'HEAD', 'POST'])
    })

    it('OPTIONS is left to cors(), and its headers stay', async () => {
      const hub = makeHub(lib)
      const app = express()
      app.use(cors({ origin: 'https://a.example', credentials: true }))
      app.use(hub.router({ channels: ['>'], publish: 'anyone', allowedOrigins: ['https://a.example'] }))
      const url = await serve(app)
      const origin = { origin: 'https://a.example' }
      const preflight = await ask(url, '/news', {
        method: 'OPTIONS',
        headers: { ...origin, 'access-control-request-method': 'POST' },
      })
      expect(preflight.status).toBe(204)
      expect(preflight.headers).toMatchObject({
        'access-control-allow-origin': 'https://a.example',
        'access-control-allow-credentials': 'true',
      })
      const s = await open(url, '/news', { headers: origin })
      expect(s.headers['access-control-allow-origin']).toBe('https://a.example')
      expect((await s.next()).event).toBe('hub.open')
      const posted = await post(url, '/news', '1', { ...origin, 'sec-fetch-site': 'cross-site' })
      expect(posted).toMatchObject({ status: 201, headers: { 'access-control-allow-origin': 'https://a.example' } })
      const refused = await ask(url, '/+', { headers: origin })
      expect(refused).toMatchObject({ status: 400, headers: { 'access-control-allow-origin': 'https://a.example' } })
    })

    it.each(['/channels/a/b', '/elsewhere', '/one/more'])('%s is not of the router: next()', async (path) => {
      const outer = app('anyone')
      outer.use((_req, res) => void res.status(418).send('next'))
      const url = await serve(outer)
      for (const method of ['GET', 'POST', 'PUT']) {
        expect(await ask(url, path, { method })).toMatchObject({ status: 418, body: 'next' })
      }
    })

    it('leaves a malformed path to Express', async () => {
      expect((await ask(await serve(app()), '/channels/%E0%A4%A')).status).toBe(400)
    })
  })

  describe('mounts', () => {
    it('hub.channel(name).router() serves the mount itself, and refuses POST by default', async () => {
      const hub = makeHub(lib)
      const app = express()
      app.use('/news', hub.channel('news').router())
      app.use('/open', hub.channel('news').router({ publish: 'anyone' }))
      const url = await serve(app)
      const s = await open(url, '/news')
      expect((await s.next()).json()).toMatchObject({ channels: ['news'] })
      expectProblem(await post(url, '/news', '1'), 403, 'ERR_SSE_PUBLISH_CLOSED')
      expect(JSON.parse((await post(url, '/open?event=x', '1')).body)).toMatchObject({
        channel: 'news',
        localSubscribers: 1,
      })
      expect(await s.next()).toMatchObject({ event: 'x', data: '1' })
      // The query names no channel here.
      const other = await open(url, '/news?channel=other')
      expect((await other.next()).json()).toMatchObject({ channels: ['news'] })
    })

    it('router({ channel }) has the parameters of its mount', async () => {
      const hub = makeHub(lib)
      const app = express()
      const users = express.Router()
      users.use(
        '/:userId/events',
        hub.router({ channel: ({ params: { userId } }) => `user.${userId}`, publish: 'anyone' }),
      )
      app.use('/users', users)
      app.use(
        '/rooms/:room/things/:thing',
        hub.router({ channel: async ({ params: { room, thing } }) => `room.${room}.${thing}` }),
      )
      const url = await serve(app)
      const s = await open(url, '/users/42/events')
      expect((await s.next()).json()).toMatchObject({ channels: ['user.42'] })
      expect((await post(url, '/users/42/events', '"hi"')).status).toBe(201)
      expect(await s.next()).toMatchObject({ data: 'hi' })
      const thing = await open(url, '/rooms/7/things/x')
      expect((await thing.next()).json()).toMatchObject({ channels: ['room.7.x'] })
      expectProblem(await ask(url, '/users/a+b/events'), 400, 'ERR_SSE_CHANNEL_NAME')
      expectProblem(await post(url, '/users/a+b/events', '1'), 400, 'ERR_SSE_CHANNEL_NAME')
    })

    it('router({ channels }) has them too, in its hooks', async () => {
      const seen: unknown[] = []
      const app = express()
      app.use(
        '/teams/:team/channels',
        makeHub(lib).router({
          channels: ['>'],
          subscribe(req) {
            seen.push(req.params)
            return true
          },
        }),
      )
      await open(app, '/teams/red/channels/news').then((s) => s.next())
      expect(seen.map((params) => ({ ...(params as object) }))).toEqual([{ team: 'red', channel: 'news' }])
    })

    it('nests in apps and routers, behind middleware that refuses', async () => {
      const hub = makeHub(lib)
      const requireUser: RequestHandler = (req, res, next) => {
        if (req.get('x-user') === undefined) res.status(401).send('who?')
        else next()
      }
      const api = express.Router()
      api.use('/v1', requireUser, hub.router({ channels: ['news'], publish: 'anyone' }))
      const inner = express()
      inner.use('/api', api)
      const app = express()
      app.use('/inner', inner)
      const url = await serve(app)
      expect(await ask(url, '/inner/api/v1/news')).toMatchObject({ status: 401, body: 'who?' })
      const s = await open(url, '/inner/api/v1?channel=news', { headers: { 'x-user': 'me' } })
      await s.next()
      expect((await post(url, '/inner/api/v1/news', '1', { 'x-user': 'me' })).status).toBe(201)
      expect((await s.next()).data).toBe('1')
    })

    it('two of one hub on one mount: the first that has the path answers', async () => {
      const hub = makeHub(lib)
      const app = express()
      app.use('/c', hub.router({ channels: ['a'] }))
      app.use('/c', hub.router({ channels: ['b'] }))
      expectProblem(await ask(await serve(app), '/c/b'), 404, 'ERR_SSE_CHANNEL_UNKNOWN')
    })

    it('an error of the function channel is answered with its 4xx, and is a failure otherwise', async () => {
      const hub = makeHub(lib)
      const failures: unknown[] = []
      hub.on('error', (error) => failures.push(error))
      const app = express()
      const error = Object.assign(new Error('secret'), { status: 0 })
      app.use('/x/:status', ({ params: { status } }: Request, _res, next) => {
        error.status = Number(status)
        next()
      })
      app.use('/x/:status', hub.router({ channel: () => Promise.reject(error), publish: 'anyone' }))
      app.use(((error, _req, res, _next) => {
        res.status(error.status).send('mine')
      }) as import('express').ErrorRequestHandler)
      const url = await serve(app)
      expect(await ask(url, '/x/404', { headers: EVENT_STREAM })).toMatchObject({ status: 404, body: 'mine' })
      expect(await post(url, '/x/404', '1')).toMatchObject({ status: 404, body: 'mine' })
      expect(await post(url, '/x/500', '1')).toMatchObject({ status: 500, body: 'mine' })
      // A 500 would end an EventSource permanently.
      expect((await ask(url, '/x/500', { headers: EVENT_STREAM })).status).toBe(200)
      expect((await ask(url, '/x/500')).status).toBe(503)
      expect(failures).toEqual([error, error])
    })
  })

  describe('options', () => {
    const hub = new lib.ChannelHub()
    const fn3 = (_req: unknown, _res: unknown, _next: unknown): boolean => true
    const wrong: readonly (readonly [name: string, options: unknown])[] = [
      ['channels', undefined],
      ['channels', {}],
      ['channels', { channels: ['a'], channel: () => 'a' }],
      ['channels', { channels: [] }],
      ['channels', { channels: 'news' }],
      ['channels', { channels: ['a..b'] }],
      ['channels', { channels: ['a', '>.b'] }],
      ['channels', { channels: [5] }],
      ['channel', { channel: 'news' }],
      ['channel', { channel: fn3 }],
      ['subscribe', { channels: ['a'], subscribe: true }],
      ['subscribe', { channels: ['a'], subscribe: 'everyone' }],
      ['subscribe', { channels: ['a'], subscribe: fn3 }],
      ['publish', { channels: ['a'], publish: true }],
      ['publish', { channels: ['a'], publish: 'nobody' }],
      ['publish', { channels: ['a'], publish: fn3 }],
      ['publish', { channels: ['a'], publish: null }],
      ['allowedOrigins', { channels: ['a'], allowedOrigins: 'https://a.example' }],
      ['allowedOrigins', { channels: ['a'], allowedOrigins: ['a.example'] }],
      ['allowedOrigins', { channels: ['a'], allowedOrigins: ['https://a.example/'] }],
      ['allowedOrigins', { channels: ['a'], allowedOrigins: ['*'] }],
      ['allowedOrigins', { channels: ['a'], allowedOrigins: [/a/] }],
      ['maxBodyBytes', { channels: ['a'], maxBodyBytes: 0 }],
      ['maxBodyBytes', { channels: ['a'], maxBodyBytes: '1mb' }],
      ['maxBodyBytes', { channels: ['a'], maxBodyBytes: 1.5 }],
      ['chanels', { channels: ['a'], chanels: ['a'] }],
      ['router', 'news'],
      ['router', null],
    ]

    it.each(wrong)('a wrong %s is a TypeError that names it: %o', (name, options) => {
      const make = (): unknown => hub.router(options as Parameters<ChannelHub['router']>[0])
      expect(make).toThrow(TypeError)
      expect(make).toThrow(new RegExp(`\\b${name}`))
    })

    it('of one channel are checked alike', () => {
      expect(() => hub.channel('a').router({ publish: fn3 as never })).toThrow(/publish/)
      expect(() => hub.channel('a').router({ channels: ['a'] } as never)).toThrow(TypeError)
    })

    it('may be undefined', async () => {
      const hub = makeHub(lib)
      const app = appWith(flavour, hub, {
        channels: ['news'],
        channel: undefined,
        subscribe: undefined,
        publish: undefined,
        allowedOrigins: undefined,
        maxBodyBytes: undefined,
      })
      const s = await open(app, '/channels/news')
      expect((await s.next()).event).toBe('hub.open')
    })

    it("subscribe: 'anyone' is the default", async () => {
      const s = await open(appWith(flavour, makeHub(lib), { channels: ['a'], subscribe: 'anyone' }), '/channels/a')
      expect((await s.next()).event).toBe('hub.open')
    })
  })

  it('release everything after any churn', async () => {
    const hub = makeHub(lib)
    const url = await serve(appWith(flavour, hub))
    const streams = await Promise.all(
      Array.from({ length: 50 }, (_, i) => open(url, `/channels?channel=a.${i % 7}&channel=b.*`)),
    )
    await Promise.all(streams.map((s) => s.next()))
    expect(hub.stats()).toMatchObject({ streams: 50, subscriptions: 50, channels: 8 })
    await Promise.all(streams.map((s, i) => (i % 2 ? s.reconnect() : s.drop())))
    await hub.publish('a.1', 1)
    for (const s of streams) s.drop()
    await expect.poll(() => hub.stats()).toMatchObject(NOBODY)
    const { closes, resumed } = hub.stats()
    expect(closes.client).toBe(resumed.new + resumed.resumed)
  })
})
