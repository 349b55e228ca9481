import compression from 'compression'
import cors from 'cors'
import type { ErrorRequestHandler, RequestHandler } from 'express'
import session from 'express-session'
import helmet from 'helmet'
import morgan from 'morgan'
import { describe, expect, it } from 'vitest'
import type { EventStream } from '../../src/index.ts'
import { ask, EVENT_STREAM, expectProblem, flavours, makeHub, open, post, serve, until } from './support.ts'

describe.each(flavours)('sse(), Express $version', (flavour) => {
  const { express, lib } = flavour

  it('changes nothing on ordinary routes', async () => {
    const app = express()
    app.use(lib.sse())
    const seen: unknown[] = []
    app.get('/json', (_req, res) => {
      const listeners = res.listenerCount('close')
      seen.push(Object.keys(res).includes('sse'), 'sse' in res)
      res.json({ a: 1 })
      seen.push(res.listenerCount('close') - listeners)
    })
    const answer = await ask(await serve(app), '/json')
    expect(answer).toMatchObject({ status: 200, body: '{"a":1}' })
    expect(answer.headers).not.toHaveProperty('x-accel-buffering')
    // The property exists, and its value is made at the first access.
    expect(seen).toEqual([false, true, 0])
  })

  it('gives one stream per response, which is an EventStream', async () => {
    const app = express()
    app.use(lib.sse())
    const seen: EventStream[] = []
    app.get('/', (_req, res) => {
      seen.push(res.sse, res.sse)
      expect(() => Object.assign(res, { sse: 1 })).toThrow(TypeError)
      res.sse.send('hi')
      res.sse.close()
    })
    const url = await serve(app)
    await ask(url, '/')
    await ask(url, '/')
    expect(seen[0]).toBe(seen[1])
    expect(seen[2]).not.toBe(seen[0])
    expect(seen[0]!.constructor.name).toBe('HttpEventStream')
  })

  it('serves the second snippet of the README', async () => {
    const app = express()
    app.use(lib.sse(), express.json())
    let cleared = false
    app.get('/clock', (_req, res) => {
      res.sse.open()
      const timer = setInterval(() => res.sse.send({ now: Date.now() }, { event: 'tick' }), 5)
      res.sse.closed.then(() => {
        clearInterval(timer)
        cleared = true
      })
    })
    app.post('/answer', (req, res) => {
      async function* generate(prompt: string, { signal }: { signal: AbortSignal }): AsyncGenerator<string> {
        for (const word of prompt.split(' ')) if (!signal.aborted) yield word
      }
      return res.sse.stream(generate(req.body.prompt, { signal: res.sse.signal }), { done: '[DONE]' })
    })
    const url = await serve(app)
    const s = await open(url, '/clock')
    expect((await s.next({ type: 'tick' })).json()).toEqual({ now: expect.any(Number) })
    s.drop()
    await until(() => cleared)
    const answer = await post(url, '/answer', '{"prompt":"hello world"}')
    expect(answer.body.replace(/^:\n/, '')).toBe('data: hello\n\ndata: world\n\ndata: [DONE]\n\n')
  })

  it('lets a handler still refuse, and open() answers 406', async () => {
    const app = express()
    app.use(lib.sse())
    app.get('/forbidden', (_req, res) => {
      expect(res.sse.state).toBe('idle')
      res.status(403).send('no')
    })
    app.get('/stream', (_req, res) => void res.sse.open())
    app.use(lib.problemHandler())
    const url = await serve(app)
    expect(await ask(url, '/forbidden', { headers: EVENT_STREAM })).toMatchObject({ status: 403, body: 'no' })
    expectProblem(await ask(url, '/stream', { headers: { accept: 'text/html' } }), 406, 'ERR_SSE_NOT_ACCEPTABLE')
  })

  describe('options', () => {
    it('of a deeper sse() win before the head, also for a stream that was asked for already', async () => {
      const app = express()
      app.use(lib.sse({ retryMs: 500 }))
      app.get('/early', (_req, res, next) => {
        void res.sse.lastEventId
        next()
      })
      app.get(['/early', '/plain'], lib.sse({ retryMs: 60_000 }), (_req, res) => {
        res.sse.send('x')
        res.sse.close()
      })
      app.get('/late', (_req, res, next) => {
        res.sse.open()
        next()
      })
      app.get('/late', lib.sse({ retryMs: 60_000 }), (_req, res) => res.sse.close())
      const url = await serve(app)
      for (const [path, least, most] of [
        ['/early', 60_000, 120_000],
        ['/plain', 60_000, 120_000],
        ['/late', 500, 1_000],
      ] as const) {
        const retry = Number(/^retry: (\d+)/.exec((await ask(url, path)).body)![1])
        expect(retry).toBeGreaterThanOrEqual(least)
        expect(retry).toBeLessThanOrEqual(most)
      }
    })

    it.each([
      ['heartbeatIntervalMs', { heartbeatIntervalMs: -1 }],
      ['retryMs', { retryMs: 0 }],
      ['maxBufferedBytes', { maxBufferedBytes: 0 }],
      ['maxLifetimeMs', { maxLifetimeMs: 1.5 }],
      ['onError', { onError: 'log' }],
      ['heartbeat', { heartbeat: 1 }],
    ])('a wrong %s is a TypeError that names it', (name, options) => {
      expect(() => lib.sse(options as never)).toThrow(TypeError)
      expect(() => lib.sse(options as never)).toThrow(new RegExp(name))
    })
  })

  it('shadows a res.sse that the response inherits', async () => {
    const app = express()
    ;(app as unknown as { response: object }).response = Object.create(app.response, {
      sse: { configurable: true, value: () => 'the method of a later Express' },
    })
    app.use(lib.sse())
    app.get('/', (_req, res) => {
      res.sse.send('hi')
      res.sse.close()
    })
    expect((await ask(await serve(app), '/')).body).toContain('data: hi')
  })

  it('a res.sse of the response itself, set by other code, is an error that names eventStream()', async () => {
    const app = express()
    const foreign: RequestHandler = (_req, res, next) => {
      Object.defineProperty(res, 'sse', { value: 'other code' })
      next()
    }
    const errors: Error[] = []
    app.use('/foreign', foreign, lib.sse())
    app.use('/own', foreign, (req, res) => {
      lib.eventStream(req, res).send('mine')
      lib.eventStream(req, res).close()
    })
    app.use('/hub', foreign, makeHub(lib).router({ channels: ['>'] }))
    app.use(((error, _req, res, _next) => {
      errors.push(error)
      res.status(500).end()
    }) as ErrorRequestHandler)
    const url = await serve(app)
    expect((await ask(url, '/foreign')).status).toBe(500)
    expect(errors[0]!.message).toContain('eventStream(req, res, options?)')
    // The router needs no res.sse, and no sse() before it.
    const s = await open(url, '/hub/news')
    expect((await s.next()).event).toBe('hub.open')
  })

  describe('problemHandler()', () => {
    it('answers every SseError, and passes on other errors and errors after an answer has begun', async () => {
      const app = express()
      app.get('/sse', (_req, _res, next) => {
        next(new lib.SseError('ERR_SSE_CHANNEL_UNKNOWN', 'Not here.', { headers: { 'X-Why': 'test' } }))
      })
      app.get('/copy', (_req, _res, next) => {
        const other = flavours.find((one) => one.lib !== lib)!.lib
        next(new other.SseError('ERR_SSE_HUB_CLOSED', 'Of another copy of the package.'))
      })
      app.get('/other', (_req, _res, next) => next(new Error('secret')))
      app.get('/late', (_req, res, next) => {
        res.write('half')
        next(new lib.SseError('ERR_SSE_CHANNEL_UNKNOWN', 'Too late.'))
      })
      app.use(lib.problemHandler())
      const seen: unknown[] = []
      app.use(((error, _req, res, _next) => {
        seen.push(error.message)
        res.end('next')
      }) as ErrorRequestHandler)
      const url = await serve(app)
      const answer = await ask(url, '/sse')
      expectProblem(answer, 404, 'ERR_SSE_CHANNEL_UNKNOWN')
      expect(answer.headers['x-why']).toBe('test')
      expectProblem(await ask(url, '/copy'), 503, 'ERR_SSE_HUB_CLOSED')
      expect((await ask(url, '/other')).body).toBe('next')
      expect((await ask(url, '/late')).body).toBe('halfnext')
      expect(seen).toEqual(['secret', 'Too late.'])
    })

    it('has the fields of an Express error, for apps without the middleware', async () => {
      const error = new lib.SseError('ERR_SSE_HUB_CLOSED', 'Closed.', { headers: { 'Retry-After': '7' } })
      expect(error).toMatchObject({ status: 503, statusCode: 503, expose: true, message: 'Closed.', detail: 'Closed.' })
      const app = express()
      app.get('/', (_req, _res, next) => next(error))
      const answer = await ask(await serve(app), '/')
      expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '7' } })
    })
  })

  describe('in company', () => {
    const others: Record<string, () => RequestHandler> = {
      compression: () => compression({ threshold: 0 }),
      'compression of event streams': () => compression({ threshold: 0, filter: () => true }),
      helmet: () => helmet() as unknown as RequestHandler,
      cors: () => cors(),
      session: () => session({ secret: 'x', resave: false, saveUninitialized: true }),
      morgan: () => morgan('tiny', { stream: { write: () => true } }),
      json: () => express.json(),
      text: () => express.text({ type: '*/*' }),
    }
    const together: Record<string, readonly string[]> = {
      ...Object.fromEntries(Object.keys(others).map((name) => [name, [name]])),
      all: ['morgan', 'helmet', 'cors', 'session', 'compression', 'json'],
      'all, the other way round': ['json', 'compression', 'session', 'cors', 'helmet', 'morgan'],
    }

    describe.each(Object.keys(together))('%s', (name) => {
      it.each([
        ['before sse()', (all: RequestHandler[]) => [...all, lib.sse()]],
        ['after sse()', (all: RequestHandler[]) => [lib.sse(), ...all]],
      ] as const)('%s loses nothing, and delivers at once', async (_name, order) => {
        const hub = makeHub(lib)
        const app = express()
        const middleware = order(together[name]!.map((one) => others[one]!()))
        for (const one of middleware) app.use(one)
        app.use('/channels', hub.router({ channels: ['>'], publish: 'anyone' }))
        app.get('/own', async (_req, res) => {
          res.sse.open()
          for (let i = 0; i < 3; i++) {
            res.sse.send(i)
            // Each must arrive before the next is sent: none may wait in a buffer of other code.
            await new Promise<void>((resolve) => {
              go = resolve
            })
          }
          res.sse.close()
        })
        let go!: () => void
        const url = await serve(app)
        const headers = { 'accept-encoding': 'gzip, br' }
        const s = await open(url, '/channels/news', { headers })
        expect(s.status).toBe(200)
        expect(s.headers['content-encoding']).toBeUndefined()
        expect(s.headers['content-type']).toBe('text/event-stream')
        await s.next({ type: 'hub.open' })
        for (let i = 0; i < 5; i++) {
          await hub.publish('news', i)
          expect((await s.next()).data).toBe(String(i))
        }
        const large = 'x'.repeat(300_000)
        await hub.publishAll(Array.from({ length: 3 }, () => ({ channel: 'news', data: large })))
        for (let i = 0; i < 3; i++) expect((await s.next()).data).toBe(large)
        await hub.publish('news', 'after')
        expect((await s.next()).data).toBe('after')

        const own = await open(url, '/own', { headers })
        for (let i = 0; i < 3; i++) {
          expect((await own.next()).data).toBe(String(i))
          go()
        }
        await own.ended

        const posted = await post(url, '/channels/news', '{"a":1}')
        expect(posted.status).toBe(201)
        expect((await s.next()).data).toBe('{"a":1}')
        expect((await ask(url, '/channels/+', { headers: EVENT_STREAM })).status).toBe(400)
        s.drop()
        await until(() => hub.stats().streams === 0)
      })
    })

    it('keeps the cookie of a session that was saved before', async () => {
      const app = express()
      app.use(session({ secret: 'x', resave: false, saveUninitialized: true }), lib.sse())
      app.get('/', (_req, res) => {
        res.sse.send('hi')
        res.sse.close()
      })
      const answer = await ask(await serve(app), '/')
      expect(answer.headers['set-cookie']).toHaveLength(1)
      expect(answer.body).toContain('data: hi\n\n')
    })

    it('keeps the headers of helmet and cors', async () => {
      const app = express()
      app.use(helmet() as unknown as RequestHandler, cors(), makeHub(lib).router({ channels: ['>'] }))
      const s = await open(app, '/news')
      expect(s.headers).toMatchObject({
        'access-control-allow-origin': '*',
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-cache, no-transform',
      })
    })

    it('is logged by morgan when the stream ends', async () => {
      const lines: string[] = []
      const app = express()
      app.use(morgan(':method :url :status', { stream: { write: (line: string) => lines.push(line.trim()) } }))
      app.use(makeHub(lib).router({ channels: ['>'] }))
      const s = await open(app, '/news')
      await s.next()
      expect(lines).toEqual([])
      s.drop()
      await until(() => lines.length === 1)
      expect(lines).toEqual(['GET /news 200'])
    })
  })
})
