import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { connect } from 'node:net'
import type { ErrorRequestHandler, Request } from 'express'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { pattern } from '../../src/channel-name.ts'
import { manualClock } from '../../src/testing/index.ts'
import { uncaught } from '../support/uncaught.ts'
import {
  appWith,
  ask,
  EVENT_STREAM,
  expectOverload,
  expectProblem,
  flavours,
  makeHub,
  open,
  post,
  serve,
  until,
} from './support.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** What a raw request line is answered, with the connection closed after it. */
function raw(url: string, target: string): Promise<string> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  socket.write(`GET ${target} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n`)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  return once(socket, 'close').then(() => text)
}

describe.each(flavours)('a stranger, Express $version', (flavour) => {
  const { express, lib } = flavour

  it.each(['*', '%2A', '%3E', '1.%3E', '1.*'])(
    'cannot read everything by the parameter %s of a computed name',
    async (id) => {
      const hub = makeHub(lib)
      const app = express()
      app.use(lib.sse())
      app.use('/users/:id/events', hub.router({ channel: (req) => `user.${req.params['id']}` }))
      app.get('/own/:id/events', (req, res) => {
        hub.subscribe(res.sse, `user.${req.params.id}`)
      })
      const url = await serve(app)
      for (const mount of ['users', 'own']) {
        expectProblem(await ask(url, `/${mount}/${id}/events`, { headers: EVENT_STREAM }), 400, 'ERR_SSE_CHANNEL_NAME')
      }
      expect(hub.stats().subscriptions).toBe(0)
    },
  )

  // Express 4 takes `//x` for `/x`.
  const paths = ['/channels/%', '/channels/%ff', '/channels/..', '/channels/%2e%2e']
  it.each(flavour.version === 5 ? [...paths, '/channels//x'] : paths)(
    'is answered %s with a problem document and no stack',
    async (target) => {
      const answer = await raw(await serve(appWith(flavour, makeHub(lib))), target)
      expect(answer).toMatch(/^HTTP\/1.1 400 /)
      expect(answer).toContain('application/problem+json')
      expect(answer).not.toMatch(/node_modules|<html/)
    },
  )

  it('may use the name of a parameter within another one', async () => {
    const s = await open(appWith(flavour, makeHub(lib)), '/channels?channel=a&subchannel[]=b')
    expect((await s.next()).json()).toMatchObject({ channels: ['a'] })
  })

  it('waits for its turn in a pipeline, and holds one subscription for each connection', async () => {
    const hub = makeHub(lib)
    const url = await serve(appWith(flavour, hub))
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\n\r\n`
    socket.write(get('/channels/a%20b').repeat(3) + get('/channels/a').repeat(500))
    await until(() => text.includes('hub.open'))
    expect(text.split('ERR_SSE_CHANNEL_NAME').length).toBe(4)
    expect((await ask(url, '/channels/a', { method: 'HEAD' })).status).toBe(200)
    expect(hub.stats().subscriptions).toBe(1)
    // The next one is served when the one before it has ended.
    hub.disconnect(() => true)
    await until(() => text.split('event: hub.open').length === 3 && hub.stats().subscriptions === 1)
  })

  it('sends thousands of requests ahead: only those of one read wait, and each is answered in its turn', async () => {
    const hub = makeHub(lib)
    const app = express()
    let received = 0
    app.use((_req, _res, next) => {
      received++
      next()
    })
    app.use('/channels', hub.router({ channels: ['>'], publish: 'anyone' }))
    const socket = connect(Number(new URL(await serve(app)).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    const padding = `X-Padding: ${'x'.repeat(900)}\r\n`
    const publish = `POST /channels/a HTTP/1.1\r\nHost: t\r\n${padding}Content-Type: text/plain\r\nContent-Length: 1\r\n\r\n1`
    socket.write(publish.repeat(300))
    await vi.waitUntil(() => text.split('localSubscribers').length > 300, { timeout: 20_000, interval: 20 })
    expect(received).toBe(300)
    socket.write(`GET /channels/a HTTP/1.1\r\nHost: t\r\n${padding}\r\n`.repeat(300))
    await until(() => text.includes('hub.open'))
    for (let i = 0; i < 20; i++) await turn()
    // One read has 64 KiB at most, and a part of the next request.
    expect(received).toBeLessThan(300 + 2 * 66)
    hub.disconnect(() => true)
    await until(() => text.split('event: hub.open').length === 3)
  })

  it('is answered 500 when a hook fails with a URIError', async () => {
    const app = appWith(flavour, makeHub(lib), { channels: ['>'], publish: () => decodeURIComponent('%') === '' })
    const handler: ErrorRequestHandler = (error, _req, res, _next) => void res.status(500).end(String(error))
    app.use(handler)
    expect(await post(await serve(app), '/channels/a', '1')).toMatchObject({
      status: 500,
      body: expect.stringContaining('URIError'),
    })
  })

  it('cannot send JSON that is nested too deep to be read everywhere', async () => {
    const url = await serve(appWith(flavour, makeHub(lib)))
    const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
    expect((await post(url, '/channels/a', nested(5_000))).status).toBe(201)
    for (const depth of [5_001, 200_000]) {
      expectProblem(await post(url, '/channels/a', nested(depth)), 400, 'ERR_SSE_BODY_MALFORMED')
    }
  })

  it('learns that brackets are not allowed', async () => {
    const url = await serve(appWith(flavour, makeHub(lib)))
    const answer = await ask(url, '/channels?channel[]=a&channel[]=b', { headers: EVENT_STREAM })
    expect(expectProblem(answer, 400, 'ERR_SSE_CHANNEL_REQUIRED')).toContain('?channel=a&channel=b')
  })

  it('gets the channels that a middleware has rewritten the URL to, and that a guard sees', async () => {
    const hub = makeHub(lib)
    const app = express()
    const seen: unknown[] = []
    app.use((req, _res, next) => {
      req.url = req.url.replace('channel=secret', 'channel=news')
      next()
    })
    app.use('/channels', hub.router({ channels: ['>'], subscribe: (_req, channels) => seen.push(channels) > 0 }))
    const url = await serve(app)
    const rewritten = await open(url, '/channels?channel=secret')
    expect((await rewritten.next()).json()).toMatchObject({ channels: ['news'] })
    const many = Array.from({ length: 30 }, (_, i) => `channel=c${i}`).join('&')
    const s = await open(url, `/channels?${many}`)
    expect((await s.next()).json()).toMatchObject({ channels: { length: 30 } })
  })

  it.each([
    ['an empty array', []],
    ['an object of another meaning', { allowed: false }],
    ['an error', new Error('no')],
    ['a map', new Map()],
    ['a class instance', new (class Verdict {})()],
    ['a date', new Date(0)],
    ['an object with a typing error', { untill: new Date() }],
  ])('is not let in by %s as a verdict', async (name, verdict) => {
    const hub = makeHub(lib)
    const failures: unknown[] = []
    hub.on('error', (error) => failures.push(error))
    const url = await serve(appWith(flavour, hub, { channels: ['>'], subscribe: () => verdict as never }))
    const answer = await ask(url, '/channels/a', { headers: EVENT_STREAM })
    expectProblem(answer, 403, 'ERR_SSE_SUBSCRIBE_FORBIDDEN')
    // It is a mistake of the application, which learns of it.
    await until(() => failures.length === 1)
    const got = name.startsWith('an object') ? '`(allowed|untill)`' : 'an? .*'
    expect(String(failures[0])).toMatch(
      new RegExp(`must return true, false, or an object of until and info, got ${got}\\.$`),
    )
  })

  it('is let in until a time in milliseconds', async () => {
    const clock = manualClock()
    const hub = makeHub(lib, { clock })
    const app = appWith(flavour, hub, { channels: ['>'], subscribe: () => ({ until: clock.now() + 1_000 }) })
    const s = await open(app, '/channels/a')
    await s.next()
    clock.advance(1_000)
    expect((await s.next({ type: 'hub.closed' })).json()).toEqual({ reason: 'expired' })
  })

  it.each([[null], [undefined]])('is let in without an end by until: %s', async (until) => {
    const s = await open(
      appWith(flavour, makeHub(lib), { channels: ['>'], subscribe: () => ({ until, info: 1 }) }),
      '/channels/a',
    )
    expect((await s.next()).event).toBe('hub.open')
  })

  it.each([
    ['an undefined header', { 'WWW-Authenticate': undefined }],
    ['a header with a line break', { 'WWW-Authenticate': 'a\r\nb: c' }],
    ['a header beyond Latin-1', { 'X-Name': '\u{1f600}' }],
  ])('cannot end the process through %s of a hook error', async (_, headers) => {
    const errors = uncaught()
    const failing = () => {
      throw Object.assign(new Error('no'), { status: 401, headers })
    }
    const app = appWith(flavour, makeHub(lib), { channels: ['>'], subscribe: failing, publish: failing })
    const handler: ErrorRequestHandler = (_error, _req, res, _next) => void res.status(500).end('handled')
    app.use(handler)
    const url = await serve(app)
    expect((await ask(url, '/channels/a', { headers: EVENT_STREAM })).body).toBe('handled')
    expect((await post(url, '/channels/a', '1')).body).toBe('handled')
    expect(errors).toEqual([])
  })

  it('whose request was answered by a time-out publishes nothing, and the next request on the connection is served', async () => {
    const errors = uncaught()
    const hub = makeHub(lib)
    const app = express()
    let answer!: () => void
    app.use((req, res, next) => {
      if (req.method === 'POST') setTimeout(() => res.status(503).end('timeout'), 5)
      next()
    })
    const asked = new Promise<void>((resolve) => {
      answer = resolve
    })
    app.use('/channels', hub.router({ channels: ['>'], publish: () => asked.then(() => true), subscribe: () => true }))
    const url = await serve(app)
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    onTestFinished(() => void socket.destroy())
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    // Half of the body is still to come when the time-out answers.
    socket.write(
      'POST /channels/a HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n12',
    )
    await until(() => text.includes('timeout'))
    answer()
    await turn()
    socket.write('34GET /channels/a HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\n\r\n')
    await until(() => text.includes('hub.open'))
    expect(hub.stats().published).toBe(0)
    expect(errors).toEqual([])
  })

  it('waits 10 s for a hook at most', async () => {
    const clock = manualClock()
    const hub = makeHub(lib, { clock })
    let asked = 0
    const never = () => {
      asked++
      return new Promise<boolean>(() => {})
    }
    const url = await serve(appWith(flavour, hub, { channels: ['>'], subscribe: never, publish: never }))
    const [stream, event] = [ask(url, '/channels/a', { headers: EVENT_STREAM }), post(url, '/channels/a', '1')]
    await until(() => asked === 2)
    clock.advance(10_000)
    expectOverload(await stream)
    expectProblem(await event, 503, 'ERR_SSE_OVERLOADED')
    expect(clock.pendingTimers).toBe(0)
  })

  it('receives the reason when a slow body is refused', async () => {
    const clock = manualClock()
    const hub = makeHub(lib, { clock })
    const url = await serve(appWith(flavour, hub))
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    let text = ''
    socket.on('data', (chunk) => {
      text += chunk
    })
    socket.write(
      'POST /channels/a HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 300\r\n\r\n1',
    )
    await until(() => clock.pendingTimers > 0)
    clock.advance(30_000)
    await once(socket, 'close')
    expect(text).toMatch(/^HTTP\/1.1 408 /)
    expect(text).toContain('ERR_SSE_BODY_TIMEOUT')
    expect(hub.stats().published).toBe(0)
  })

  it('cannot hold the event loop with a form of many fields, or memory with a body of many chunks', async () => {
    const url = await serve(appWith(flavour, makeHub(lib)))
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const start = performance.now()
    expect((await post(url, '/channels/a', `${'a&'.repeat(100_000)}data=x`, form)).status).toBe(201)
    // A quadratic parser takes minutes.
    expect(performance.now() - start).toBeLessThan(20_000)
  })

  it('whose disconnect comes while the hook waits is asked again', async () => {
    const hub = makeHub(lib)
    const asked: ((verdict: object) => void)[] = []
    const subscribe = () => new Promise<object>((resolve) => asked.push(resolve))
    const url = await serve(appWith(flavour, hub, { channels: ['>'], subscribe }))
    const first = ask(url, '/channels/a', { headers: EVENT_STREAM })
    await until(() => asked.length === 1)
    expect(hub.disconnect(({ info }) => info === 'ann')).toBe(0)
    asked[0]!({ info: 'ann' })
    expectOverload(await first)
    const second = open(url, '/channels/a')
    await until(() => asked.length === 2)
    expect(hub.disconnect(({ info }) => info === 'bob')).toBe(0)
    asked[1]!({ info: 'ann' })
    expect((await (await second).next()).event).toBe('hub.open')
    expect(hub.disconnect(({ info }) => info === 'ann')).toBe(1)
  })

  it('is decided in the async context of its own request', async () => {
    const hub = makeHub(lib)
    const user = new AsyncLocalStorage<string>()
    const decided: (string | undefined)[] = []
    const app = express()
    app.use((req, _res, next) => user.run(String(req.headers['x-user'] ?? 'none'), next))
    const subscribe = (_req: Request, channels: readonly string[]) => {
      decided.push(`${user.getStore()} ${channels}`)
      return true
    }
    app.use('/channels', hub.router({ channels: ['>'], subscribe, publish: 'anyone' }))
    const url = await serve(app)
    const s = await open(url, '/channels/u.*', { headers: { 'x-user': 'reader' } })
    await s.next()
    user.run('listener', () => hub.on('gap', () => {}))
    await user.run('publisher', () => hub.publish('u.a', 1))
    expect((await s.next()).data).toBe('1')
    await post(url, '/channels/u.b', '2', { 'x-user': 'poster' })
    expect((await s.next()).data).toBe('2')
    expect(decided).toEqual(['reader u.*', 'reader u.a', 'reader u.b'])
  })

  it('sends numbers of any precision, and they arrive as they were sent', async () => {
    const hub = makeHub(lib)
    const url = await serve(appWith(flavour, hub))
    const s = await open(url, '/channels/a?envelope=1')
    await s.next()
    const texts = ['{"id": 616581622363398142 }', '1e400', '{"a":1,"a":2}', '[ "a b\\n \\u00e9", -0 ]', '\ufeff{"b":1}']
    for (const text of texts) expect((await post(url, '/channels/a', text)).status).toBe(201)
    const sent = ['{"id":616581622363398142}', '1e400', '{"a":1,"a":2}', '["a b\\n \\u00e9",-0]', '{"b":1}']
    for (const text of sent) expect((await s.next()).data).toBe(`{"channel":"a","data":${text}}`)
    const key = { 'idempotency-key': 'k' }
    expect((await post(url, '/channels/a', '9007199254740993', key)).status).toBe(201)
    expectProblem(await post(url, '/channels/a', '9007199254740992', key), 422, 'ERR_SSE_IDEMPOTENCY_MISMATCH')
  })

  it('may begin NDJSON and forms with a byte-order mark', async () => {
    const hub = makeHub(lib)
    const url = await serve(appWith(flavour, hub))
    const s = await open(url, '/channels/a')
    await s.next()
    await post(url, '/channels/a', '\ufeff1\n2', { 'content-type': 'application/x-ndjson' })
    await post(url, '/channels/a', '\ufeffdata=3&event=e', { 'content-type': 'application/x-www-form-urlencoded' })
    expect([await s.next(), await s.next(), await s.next()].map(({ event, data }) => [event, data])).toEqual([
      ['message', '1'],
      ['message', '2'],
      ['e', '3'],
    ])
  })

  it('cannot replace events of the application by their conflation key', async () => {
    const hub = makeHub(lib)
    const url = await serve(appWith(flavour, hub))
    const { id } = await hub.publish('a', 'start')
    await hub.publish('a', 'true', { conflationKey: 'usd' })
    await post(url, '/channels/a?conflationKey=usd', '"false"')
    const s = await open(url, '/channels/a', { lastEventId: id })
    await s.next()
    expect([(await s.next()).data, (await s.next()).data]).toEqual(['true', 'false'])
    expectProblem(await post(url, '/channels/a?conflationKey=%00usd', '1'), 400, 'ERR_SSE_CONFLATION_KEY')
  })

  it('cannot publish an event that a default client does not accept', async () => {
    const url = await serve(appWith(flavour, makeHub(lib)))
    const text = { 'content-type': 'text/plain' }
    expectProblem(await post(url, '/channels/a', '\u0001'.repeat(750_000), text), 413, 'ERR_SSE_EVENT_TOO_LARGE')
    expect((await post(url, '/channels/a', 'x'.repeat(1_000_000), text)).status).toBe(201)
  })

  it('is counted on a Unix socket as well', async () => {
    const hub = makeHub(lib, { maxStreamsPerAddress: 1 })
    const path = `${process.cwd()}/test/.tmp-${process.pid}-${flavour.version}.sock`
    const server: Server = createServer(appWith(flavour, hub))
    await new Promise<void>((resolve) => server.listen(path, resolve))
    const get = () => {
      const socket = connect(path)
      socket.write('GET /channels/a HTTP/1.1\r\nHost: t\r\nAccept: text/event-stream\r\n\r\n')
      return new Promise<string>((resolve) => socket.once('data', (chunk) => resolve(String(chunk)))).then((text) => ({
        text,
        socket,
      }))
    }
    const one = await get()
    const two = await get()
    expect(one.text).toContain('hub.open')
    expect(two.text).toContain('overloaded')
    one.socket.destroy()
    two.socket.destroy()
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  it('that is gone is noticed although its GET had a body', async () => {
    const hub = makeHub(lib)
    const url = await serve(appWith(flavour, hub))
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    socket.write(`GET /channels/a HTTP/1.1\r\nHost: t\r\nContent-Length: 200000\r\n\r\n${'x'.repeat(100_000)}`)
    await once(socket, 'data')
    await until(() => hub.stats().streams === 1)
    socket.destroy()
    await until(() => hub.stats().streams === 0)
  })
})

describe('errors of a hub', () => {
  it('are emitted once, in a separate turn, and not for errors of their listeners', async () => {
    const errors = uncaught()
    const hub = makeHub()
    const heard: string[] = []
    hub.on('error', (error) => {
      heard.push((error as { code: string }).code)
      hub.publish('log', 'x'.repeat(2_000_000))
    })
    hub.on('error', async () => {
      throw new Error('of a listener')
    })
    hub.on('subscribe', async () => {
      throw Object.assign(new Error('of another listener'), { code: 'LISTENER' })
    })
    await hub.publish('a', 'x'.repeat(2_000_000)).catch(() => heard.push('rejected'))
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(heard).toEqual(['rejected', 'ERR_SSE_EVENT_TOO_LARGE'])
    expect(errors).toEqual([])
  })

  it.each([
    [
      'an event that does not exist',
      (hub: ReturnType<typeof makeHub>) => hub.on('foo' as never, () => {}),
      /one of the events subscribe, /,
    ],
    [
      'no listener',
      (hub: ReturnType<typeof makeHub>) => hub.on('gap', undefined as never),
      /`listener` must be a function, got undefined/,
    ],
    [
      'no condition',
      (hub: ReturnType<typeof makeHub>) => hub.disconnect('ann' as never),
      /`matches` must be a function, got "ann"/,
    ],
    [
      'a signal of another kind',
      (hub: ReturnType<typeof makeHub>) => hub.events('a', { signal: {} as never }),
      /`signal` must be an AbortSignal/,
    ],
    [
      'a number as a position',
      (hub: ReturnType<typeof makeHub>) => hub.events('a', { after: 5 as never }),
      /`after` must be an event ID, got 5/,
    ],
  ])('are thrown at once for %s', (_, call, message) => {
    expect(() => call(makeHub())).toThrow(message)
  })

  it('name the mistake in a batch and in a broker', async () => {
    const { memoryBroker } = flavours[0]!.lib
    await expect(makeHub().publishAll({} as never)).rejects.toThrow('must be given an array of events, got an object')
    expect(() => new flavours[0]!.lib.ChannelHub({ broker: memoryBroker as never })).toThrow(
      /`broker` must be a broker/,
    )
    expect(() => makeHub().events(pattern('a b'))).toThrow(expect.objectContaining({ code: 'ERR_SSE_CHANNEL_NAME' }))
  })
})
