import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  createSecureServer,
  createServer,
  type IncomingHttpHeaders,
} from 'node:http2'
import { createServer as createHttpsServer, get, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import express from 'express'
import http2Express from 'http2-express'
import { afterEach, describe, expect, it } from 'vitest'
import { ChannelHub, sse } from '../../src/index.ts'
import { cert, key } from '../support/certificate.ts'

/** What one test has opened, to be closed in turn. */
const open: (() => unknown)[] = []
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close()
})

function routes(app: express.Express): ChannelHub {
  const hub = new ChannelHub()
  open.push(() => hub.close())
  app.use(sse())
  app.use('/channels', hub.router({ channels: ['>'], publish: 'anyone' }))
  app.get('/words', (_req, res) => {
    res.sse.stream(['one', 'two'], { done: '[DONE]' })
  })
  return hub
}

/** The events of a body as they come. */
function events(body: NodeJS.ReadableStream): () => Promise<EventSourceMessage> {
  const received: EventSourceMessage[] = []
  let wake = () => {}
  const parser = createParser({
    onEvent: (event) => {
      received.push(event)
      wake()
    },
  })
  body.on('data', (chunk) => parser.feed(String(chunk)))
  return async () => {
    while (received.length === 0) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    return received.shift()!
  }
}

const eventually = async (isSo: () => boolean) => {
  while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('over HTTPS', () => {
  it('events arrive, a slow reader is bounded by the socket, and a client that leaves is noticed', async () => {
    const app = express()
    const hub = routes(app)
    const server = createHttpsServer({ key, cert }, app).listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.push(() => server.close())
    const { port } = server.address() as AddressInfo
    const options = { host: 'localhost', port, ca: cert, agent: false } as const
    const asked = get({ ...options, path: '/channels/a', headers: { Accept: 'text/event-stream' } })
    const [response] = await once(asked, 'response')
    const next = events(response)
    expect((await next()).event).toBe('hub.open')
    const posted = request({
      ...options,
      path: '/channels/a',
      method: 'POST',
      headers: { 'Content-Type': 'text/plain' },
    })
    posted.end('hello')
    const [answer] = await once(posted, 'response')
    expect(answer.statusCode).toBe(201)
    answer.resume()
    expect((await next()).data).toBe('hello')
    response.pause()
    for (let i = 0; i < 300; i++) await hub.publish('a', 'x'.repeat(50_000))
    expect(hub.stats().bufferedBytes).toBeLessThan(300_000)
    response.resume()
    for (let i = 0; i < 300; i++) expect((await next()).data.length).toBe(50_000)
    asked.destroy()
    await eventually(() => hub.stats().streams === 0)
    expect(hub.stats()).toMatchObject({ closes: { client: 1 }, gaps: { trimmed: 0 } })
  })
})

describe.each(['in the clear', 'with TLS'])('over HTTP/2 %s, through http2-express', (how) => {
  async function serve(): Promise<{ hub: ChannelHub; session: ClientHttp2Session }> {
    const app = http2Express(express)
    const hub = routes(app)
    const server = how === 'with TLS' ? createSecureServer({ key, cert }, app) : createServer(app)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    open.push(() => server.close())
    const { port } = server.address() as AddressInfo
    const session = connect(`${how === 'with TLS' ? 'https' : 'http'}://localhost:${port}`, { ca: cert })
    open.push(() => session.destroy())
    return { hub, session }
  }

  async function ask(session: ClientHttp2Session, headers: Record<string, string>, body?: string) {
    const stream = session.request(
      { ':method': body === undefined ? 'GET' : 'POST', ...headers },
      { endStream: body === undefined },
    )
    if (body !== undefined) stream.end(body)
    const [head] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }]
    return { stream, head }
  }

  it('streams, replays and publishes, also a body without a length', async () => {
    const { hub, session } = await serve()
    const { stream, head } = await ask(session, { ':path': '/channels/a', accept: 'text/event-stream' })
    expect(head).toMatchObject({ ':status': 200, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
    expect(head).not.toHaveProperty('connection')
    const next = events(stream)
    const { id } = await next()
    const posted = await ask(session, { ':path': '/channels/a', 'content-type': 'text/plain' }, 'hello')
    expect(posted.head[':status']).toBe(201)
    expect(JSON.parse(await text(posted.stream))).toMatchObject({ localSubscribers: 1 })
    expect((await next()).data).toBe('hello')
    const again = await ask(session, { ':path': '/channels/a', 'last-event-id': id! })
    const replayed = events(again.stream)
    expect((await replayed()).event).toBe('hub.open')
    expect((await replayed()).data).toBe('hello')
    stream.close()
    again.stream.close()
    await eventually(() => hub.stats().streams === 0)
  })

  it('answers HEAD, refuses, and ends finite streams', async () => {
    const { hub, session } = await serve()
    const head = session.request({ ':method': 'HEAD', ':path': '/channels/a' })
    const [{ ':status': status }] = (await once(head, 'response')) as [{ ':status': number }]
    expect(status).toBe(200)
    await once(head.resume(), 'end')
    const refused = await ask(session, { ':path': '/channels/a%20b' })
    expect(refused.head).toMatchObject({ ':status': 400, 'content-type': 'application/problem+json; charset=utf-8' })
    refused.stream.resume()
    const words = await ask(session, { ':path': '/words' })
    expect(await text(words.stream)).toBe(':\ndata: one\n\ndata: two\n\ndata: [DONE]\n\n')
    expect(hub.stats().subscriptions).toBe(0)
  })
})
