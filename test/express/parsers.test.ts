import type { RequestHandler } from 'express'
import { describe, expect, it } from 'vitest'
import type { ChannelHub } from '../../src/index.ts'
import { type Answer, appWith, ask, expectProblem, flavours, makeHub, post, serve } from './support.ts'

describe.each(flavours)('behind body parsers, Express $version', (flavour) => {
  const { express, lib } = flavour

  /** Answers the POST, and what of it was published. */
  async function published(
    parsers: readonly RequestHandler[],
    type: string,
    body: string | Buffer,
  ): Promise<{ answer: Answer; data: unknown[] }> {
    const hub: ChannelHub = makeHub(lib)
    const app = express()
    app.use(...(parsers as [RequestHandler]), hub.router({ channels: ['>'], publish: 'anyone' }))
    const events = hub.events('news')
    const answer = await post(await serve(app), '/news', body, { 'content-type': type })
    const data: unknown[] = []
    const { ids = answer.status < 300 ? [''] : [] } = JSON.parse(answer.body.startsWith('{') ? answer.body : '{}')
    for (const _ of ids) data.push((await events.next()).value.data)
    await events.return!()
    return { answer, data }
  }

  const all = (): RequestHandler[] => [
    express.json(),
    express.urlencoded({ extended: true }),
    express.text(),
    express.raw({ type: 'application/octet-stream' }),
  ]
  const orders: Record<string, () => RequestHandler[]> = {
    'json()': () => [express.json()],
    'json({ strict: false })': () => [express.json({ strict: false })],
    'json({ type: */json })': () => [express.json({ type: ['json', '+json'] })],
    'text()': () => [express.text()],
    'urlencoded()': () => [express.urlencoded()],
    'urlencoded({ extended: true })': () => [express.urlencoded({ extended: true })],
    'raw()': () => [express.raw()],
    'raw({ type: */* })': () => [express.raw({ type: '*/*' })],
    all,
    'all, the other way round': () => all().reverse(),
  }
  const bodies: readonly (readonly [type: string, body: string, data: unknown[]])[] = [
    ['application/json', '{"a":[1,"é"]}', [{ a: [1, 'é'] }]],
    ['application/json', '{}', [{}]],
    ['application/vnd.x+json', '[]', [[]]],
    ['text/plain', 'a é\n', ['a é\n']],
    ['text/plain; charset=utf-8', '', ['']],
    ['application/x-www-form-urlencoded', 'data=%C3%A9+b&x=1', ['é b']],
    ['application/x-ndjson', '1\n{"b":2}\n', [1, { b: 2 }]],
  ]

  describe.each(Object.keys(orders))('%s', (name) => {
    it.each(bodies)('%s %j gives the same result as without a parser', async (type, body, data) => {
      const result = await published(orders[name]!(), type, body)
      expect(result.answer.status).toBe(201)
      expect(result.data).toEqual(data)
    })

    it('a form without data is refused with a reason', async () => {
      for (const body of ['', '&', 'x=1', 'data[a]=1', 'data=1&data=2']) {
        const { answer } = await published(orders[name]!(), 'application/x-www-form-urlencoded', body)
        expectProblem(answer, 400, 'ERR_SSE_DATA_MISSING')
      }
    })

    it('an invalid event type in a form is refused with a reason', async () => {
      for (const body of ['data=1&event=hub.x', 'data=1&event=a&event=b']) {
        const { answer } = await published(orders[name]!(), 'application/x-www-form-urlencoded', body)
        expectProblem(answer, 400, 'ERR_SSE_EVENT_TYPE')
      }
    })

    it('an unsupported type is 415', async () => {
      const { answer } = await published(orders[name]!(), 'image/png', 'x')
      expectProblem(answer, 415, 'ERR_SSE_MEDIA_TYPE')
    })
  })

  it('takes the value that json({ strict: false }) made of a text or a number', async () => {
    const parser = () => [express.json({ strict: false })]
    expect((await published(parser(), 'application/json', '"hi"')).data).toEqual(['hi'])
    expect((await published(parser(), 'application/json', '5')).data).toEqual([5])
    expect((await published(parser(), 'application/json', 'null')).data).toEqual([null])
  })

  it('leaves the refusals of a parser to the parser', async () => {
    const { answer } = await published([express.json()], 'application/json', '{')
    expect(answer.status).toBe(400)
    expect(answer.headers['content-type']).toContain('text/html')
    expect((await published([express.json({ limit: 10 })], 'application/json', '{"a":"1234567"}')).answer.status).toBe(
      413,
    )
  })

  it('takes a body that a parser has inflated', async () => {
    const { gzipSync } = await import('node:zlib')
    const hub = makeHub(lib)
    const app = express()
    app.use(express.json(), hub.router({ channels: ['>'], publish: 'anyone' }))
    const headers = { 'content-encoding': 'gzip' }
    const answer = await post(await serve(app), '/news', gzipSync('{"a":1}'), headers)
    expect(answer.status).toBe(201)
  })

  it('has keys and a form given as bytes like any other', async () => {
    const hub = makeHub(lib)
    const app = express()
    app.use(express.raw({ type: () => true }), hub.router({ channels: ['>'], publish: 'anyone' }))
    const url = await serve(app)
    const headers = { 'content-type': 'application/x-www-form-urlencoded', 'idempotency-key': 'a' }
    expect((await post(url, '/news?event=x', 'data=1', headers)).status).toBe(201)
    expect((await post(url, '/news?event=x', 'data=1', headers)).status).toBe(200)
    const broken = await post(url, '/news', Buffer.from([0xff]), { 'content-type': 'text/plain' })
    expectProblem(broken, 400, 'ERR_SSE_BODY_MALFORMED')
  })

  describe('a body that other code has consumed', () => {
    const consume: RequestHandler = (req, _res, next) => {
      req.resume().on('end', () => next())
    }

    it.each(['application/json', 'text/plain', 'application/x-www-form-urlencoded', 'application/x-ndjson'])(
      'of %s is 500, and the detail names the cause',
      async (type) => {
        const { answer } = await published([consume], type, 'data=1')
        const detail = expectProblem(answer, 500, 'ERR_SSE_BODY_CONSUMED')
        expect(detail).toContain('before')
      },
    )

    it.each(['text/plain', 'application/x-ndjson'])('of %s is 500 when req.body is something else', async (type) => {
      const made: RequestHandler = (req, _res, next) => {
        req.body = { a: 1 }
        next()
      }
      const { answer } = await published([consume, made], type, 'x')
      expectProblem(answer, 500, 'ERR_SSE_BODY_CONSUMED')
    })
  })

  it('reads an unread body itself, and ignores req.body', async () => {
    const lie: RequestHandler = (req, _res, next) => {
      req.body = { a: 1 }
      next()
    }
    expect((await published([lie], 'application/json', '{"b":2}')).data).toEqual([{ b: 2 }])
  })

  it('passes on a parsed value that cannot be an event', async () => {
    const hub = makeHub(lib)
    const app = express()
    const seen: unknown[] = []
    app.use(express.json(), (req, _res, next) => {
      req.body = new Map()
      next()
    })
    app.use(hub.router({ channels: ['>'], publish: 'anyone' }))
    app.use(((error, _req, res, _next) => {
      seen.push(error)
      res.status(500).end()
    }) as import('express').ErrorRequestHandler)
    expect((await post(await serve(app), '/news', '{}')).status).toBe(500)
    expect(seen).toEqual([expect.any(TypeError)])
  })

  it('a client that leaves in the middle of its body publishes nothing', async () => {
    const { request } = await import('node:http')
    const hub = makeHub(lib)
    const url = await serve(appWith(flavour, hub))
    const req = request(`${url}/channels/news`, {
      method: 'POST',
      headers: { 'content-type': 'text/plain', 'content-length': '100' },
    })
    req.on('error', () => {})
    await new Promise<void>((resolve) => req.write('part', () => resolve()))
    req.destroy()
    expect((await ask(url, '/channels/news', { method: 'HEAD' })).status).toBe(200)
    expect(hub.stats().published).toBe(0)
  })
})
