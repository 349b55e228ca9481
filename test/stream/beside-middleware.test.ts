import compression from 'compression'
import cors from 'cors'
import express, { type Application } from 'express'
import express4 from 'express-4'
import session from 'express-session'
import helmet from 'helmet'
import morgan from 'morgan'
import { describe, expect, it } from 'vitest'
import type { EventStream } from '../../src/stream/event-stream.ts'
import { eventStream } from '../../src/stream/http-event-stream.ts'
import { openStream } from '../../src/testing/index.ts'

describe.each<[string, () => Application]>([
  ['Express 5', express],
  ['Express 4', () => express4() as unknown as Application],
])('an event stream of %s', (_, make) => {
  it('arrives at once behind compression', async () => {
    const app = make()
    let sse: EventStream | undefined
    app.use(compression({ threshold: 0 }))
    app.get('/plain', (_req, res) => res.send('x'.repeat(5_000)))
    app.get('/', (req, res) => {
      sse = eventStream(req, res)
      sse.send('first')
    })
    const headers = { 'Accept-Encoding': 'gzip' }
    await using plain = await openStream(app, '/plain', { headers })
    expect(plain.headers['content-encoding']).toBe('gzip')
    await using s = await openStream(app, '/', { headers })
    expect((await s.next()).data).toBe('first')
    expect(s.headers).not.toHaveProperty('content-encoding')
    sse!.send('second')
    expect((await s.next()).data).toBe('second')
    expect(await sse!.stream([`x${'y'.repeat(500_000)}`, 'last'])).toEqual({ sent: 2, reason: 'done' })
    expect([(await s.next()).data.length, (await s.next()).data]).toEqual([500_001, 'last'])
    await s.ended
  })

  it('lives with helmet, cors, express-session and morgan', async () => {
    const app = make()
    const lines: string[] = []
    app.use(morgan('tiny', { stream: { write: (line) => void lines.push(line) } }))
    app.use(helmet())
    app.use(cors({ origin: 'https://a.example', credentials: true }))
    app.use(session({ secret: 's', resave: false, saveUninitialized: true }))
    app.get('/', (req, res) => {
      const sse = eventStream(req, res)
      sse.send('a')
      sse.close()
    })
    await using s = await openStream(app, '/', { headers: { Origin: 'https://a.example', Cookie: 'a=b' } })
    expect((await s.next()).data).toBe('a')
    await s.ended
    expect(s.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'private, no-cache, no-transform',
      'access-control-allow-origin': 'https://a.example',
      'access-control-allow-credentials': 'true',
      'x-content-type-options': 'nosniff',
    })
    expect(s.headers['set-cookie']?.[0]).toMatch(/^connect\.sid=/)
    expect(lines).toEqual([expect.stringContaining('GET / 200')])
  })

  it('answers a POST whose body was read', async () => {
    const app = make()
    let sse: EventStream | undefined
    app.post('/', express.json(), async (req, res) => {
      sse = eventStream(req, res)
      // The request closes here.
      await new Promise((resolve) => setTimeout(resolve, 20))
      await sse.stream((req.body as { words: string[] }).words, { end: false })
    })
    await using s = await openStream(app, '/', {
      body: '{"words":["a","b"]}',
      headers: { 'Content-Type': 'application/json' },
    })
    expect([(await s.next()).data, (await s.next()).data]).toEqual(['a', 'b'])
    expect(sse!.state).toBe('open')
    s.drop()
    expect(await sse!.closed).toBe('client')
  })

  it('gives a refusal of open() to the error handler', async () => {
    const app = make()
    app.get('/', (req, res) => {
      eventStream(req, res).open()
    })
    await using s = await openStream(app, '/', { headers: { Accept: 'application/json' } })
    expect(s.status).toBe(406)
  })

  it('stays unchanged when a route answers something else', async () => {
    const app = make()
    let sse: EventStream | undefined
    let error: unknown
    app.get('/', (req, res) => {
      sse = eventStream(req, res)
      sse.send('a')
      try {
        res.json({ a: 1 })
      } catch (thrown) {
        error = thrown
      }
      sse.send('b')
    })
    await using s = await openStream(app, '/')
    expect([(await s.next()).data, (await s.next()).data]).toEqual(['a', 'b'])
    expect(error).toMatchObject({ code: 'ERR_HTTP_HEADERS_SENT' })
    expect(sse!.state).toBe('open')
  })

  it('reads lastEventId whatever the query parser', async () => {
    const app = make()
    app.set('query parser', false)
    const router = express.Router()
    router.get('/deep', (req, res) => {
      eventStream(req, res).send(eventStream(req, res).lastEventId)
    })
    app.use('/mount', router)
    await using s = await openStream(app, '/mount/deep?lastEventId=k3f9a2.1z14')
    expect((await s.next()).data).toBe('k3f9a2.1z14')
  })
})
