import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type ClientHttp2Session, connect, createServer, type Http2Server } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { EventStream } from '../../src/stream/event-stream.ts'
import { eventStream, responseStreamOf } from '../../src/stream/http-event-stream.ts'
import { manualClock } from '../../src/testing/index.ts'
import { RawClient } from '../support/raw-client.ts'
import { type Served, serve } from '../support/serve.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

/** A server that hands the streams of its requests over, by path. */
async function streams(options = {}): Promise<Served & { at(path: string): Promise<EventStream> }> {
  const seen = new Map<string, EventStream>()
  const server = await serve((req, res) => void seen.set(req.url!, eventStream(req, res, options)))
  return {
    ...server,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    at: (path) => vi.waitUntil(() => seen.get(path), { interval: 1 }),
  }
}

describe('HTTP/1.0', () => {
  it('gets the bare bytes, and the end of the connection', async () => {
    await using server = await streams()
    using client = await RawClient.connect(server.port)
    client.socket.write('GET /a HTTP/1.0\r\nHost: test\r\n\r\n')
    const sse = await server.at('/a')
    sse.send('a')
    const head = await client.until('data: a\n\n')
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(head.toLowerCase()).not.toContain('transfer-encoding')
    expect(head.toLowerCase()).not.toContain('content-length')
    expect(head).toMatch(/\r\n\r\n:\ndata: a\n\n$/)
    sse.close()
    await client.closed
  })
})

describe('a connection that serves more than one request', () => {
  it('continues after HEAD, after an ended stream and after 204', async () => {
    await using server = await streams()
    using client = await RawClient.connect(server.port)
    client.request('HEAD /head')
    ;(await server.at('/head')).open()
    await client.until('\r\n\r\n')
    client.request('GET /a')
    const a = await server.at('/a')
    a.send('a')
    a.close()
    await client.until('0\r\n\r\n')
    client.request('GET /b')
    ;(await server.at('/b')).finish()
    await client.until('204 No Content')
    client.request('GET /c')
    ;(await server.at('/c')).send('c')
    await client.until('data: c\n\n')
    expect(client.received.match(/HTTP\/1\.1 \d+/g)).toEqual([
      'HTTP/1.1 200',
      'HTTP/1.1 200',
      'HTTP/1.1 204',
      'HTTP/1.1 200',
    ])
    // The body of HEAD would have been taken for the next answer.
    expect(client.received).toMatch(/^HTTP\/1\.1 200 OK\r\n([^\r\n]+\r\n)+\r\nHTTP\/1\.1 200 OK/)
  })

  it('ends with a stream that a shutdown ends', async () => {
    await using server = await streams()
    using client = await RawClient.connect(server.port)
    client.request('GET /a')
    const a = await server.at('/a')
    a.open()
    await client.until(':\n')
    a.close('shutdown')
    await client.closed
    expect(client.received).toMatch(/0\r\n\r\n$/)
  })

  it('has its listeners back after each of them', async () => {
    const server = await streams()
    await using _ = server
    using client = await RawClient.connect(server.port)
    let counts: Record<string, number> | undefined
    for (let i = 0; i < 30; i++) {
      const method = i % 3 === 0 ? 'HEAD' : 'GET'
      client.request(`${method} /${i}`)
      const sse = await server.at(`/${i}`)
      const res = responseStreamOf(sse)!.response!
      const { socket } = res.req
      void sse.closed
      if (i % 3 === 2) sse.finish()
      else sse.open()
      sse.send('x'.repeat(20_000))
      const drained = sse.drained()
      sse.close()
      await drained
      if (!res.closed) await once(res, 'close')
      await turn()
      const now = Object.fromEntries(socket.eventNames().map((name) => [String(name), socket.listenerCount(name)]))
      if (i < 3) counts = now
      else expect(now).toEqual(counts)
    }
  })
})

describe('pipelined requests', () => {
  it('are answered one after the other', async () => {
    await using server = await streams()
    using client = await RawClient.connect(server.port)
    client.socket.write('GET /a HTTP/1.1\r\nHost: t\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n')
    const [a, b] = [await server.at('/a'), await server.at('/b')]
    b.send('b')
    a.send('a')
    await client.until('data: a\n\n')
    expect(client.received).not.toContain('data: b')
    a.close()
    await client.until('data: b\n\n')
    expect(b.bufferedBytes).toBe(0)
    expect(client.received.indexOf('0\r\n\r\n')).toBeLessThan(client.received.indexOf('data: b'))
  })

  it('all end when the client leaves', async () => {
    const clock = manualClock()
    await using server = await streams({ clock })
    using client = await RawClient.connect(server.port)
    client.socket.write(
      'GET /a HTTP/1.1\r\nHost: t\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\nGET /c HTTP/1.1\r\nHost: t\r\n\r\n',
    )
    const [a, b, c] = [await server.at('/a'), await server.at('/b'), await server.at('/c')]
    a.open()
    b.open()
    client.reset()
    expect(await a.closed).toBe('client')
    expect(await b.closed).toBe('client')
    expect(await c.closed).toBe('client')
    expect(clock.pendingTimers).toBe(0)
    const { response } = responseStreamOf(b)!
    const late = eventStream(response!.req, response!, { clock })
    expect(late.state).toBe('closed')
  })

  it('are bounded in memory while they wait', async () => {
    await using server = await streams({ maxBufferedBytes: 100_000 })
    using client = await RawClient.connect(server.port)
    client.socket.write('GET /a HTTP/1.1\r\nHost: t\r\n\r\nGET /b HTTP/1.1\r\nHost: t\r\n\r\n')
    const [a, b] = [await server.at('/a'), await server.at('/b')]
    a.open()
    for (let i = 0; i < 200 && b.state !== 'closed'; i++) b.send('x'.repeat(1_000))
    expect(await b.closed).toBe('slow')
    a.close()
    await client.closed
  })
})

describe('HTTP/2', () => {
  interface H2 extends AsyncDisposable {
    readonly session: ClientHttp2Session
    readonly server: Http2Server
    next(): Promise<[IncomingMessage, ServerResponse]>
  }

  async function http2(): Promise<H2> {
    const requests: [IncomingMessage, ServerResponse][] = []
    const server = createServer((req, res) => {
      requests.push([req as unknown as IncomingMessage, res as unknown as ServerResponse])
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const session = connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    return {
      session,
      server,
      next: () => vi.waitUntil(() => requests.shift(), { interval: 1 }),
      async [Symbol.asyncDispose]() {
        session.destroy()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }

  it('has a head without Connection, and events', async () => {
    await using h2 = await http2()
    const request = h2.session.request({ ':path': '/?lastEventId=7' })
    const sse = eventStream(...(await h2.next()))
    expect(sse.lastEventId).toBe('7')
    let warning: Error | undefined
    process.once('warning', (w) => (warning = w))
    sse.send('a')
    const [headers] = await once(request, 'response')
    expect(headers).toMatchObject({ ':status': 200, 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
    expect(headers).not.toHaveProperty('connection')
    expect(headers).not.toHaveProperty('transfer-encoding')
    let text = ''
    request.setEncoding('utf8').on('data', (more) => (text += more))
    sse.close()
    await once(request, 'end')
    expect(text).toBe(':\ndata: a\n\n')
    expect(await sse.closed).toBe('server')
    expect(warning).toBeUndefined()
  })

  it('ends when the client leaves, and when other code answers', async () => {
    const clock = manualClock()
    await using h2 = await http2()
    const request = h2.session.request({})
    request.on('error', () => {})
    const sse = eventStream(...(await h2.next()), { clock })
    sse.open()
    await once(request, 'response')
    request.close(8)
    expect(await sse.closed).toBe('client')
    expect([sse.send('late'), responseStreamOf(sse)!.unsentBytes, clock.pendingTimers]).toEqual([false, 0, 0])
    h2.session.request({}).resume()
    const [req, res] = await h2.next()
    const other = eventStream(req, res)
    res.end('other')
    expect(await other.closed).toBe('server')
  })

  it('notices a client that left before the stream was made', async () => {
    await using h2 = await http2()
    const request = h2.session.request({})
    request.on('error', () => {})
    const [req, res] = await h2.next()
    const closed = once(res, 'close')
    request.close(8)
    await closed
    const sse = eventStream(req, res)
    expect(sse.state).toBe('closed')
    expect(sse.open().send('a')).toBe(false)
    expect(await sse.closed).toBe('client')
  })

  it('closes a stream for a shutdown, and answers HEAD and 204', async () => {
    await using h2 = await http2()
    const ended = async (headers: Record<string, string>, use: (sse: EventStream) => void) => {
      const request = h2.session.request(headers)
      request.resume()
      const response = once(request, 'response')
      use(eventStream(...(await h2.next())))
      const [head] = await response
      if (!request.closed) await once(request, 'close')
      return head[':status']
    }
    expect(await ended({}, (sse) => sse.open().close('shutdown'))).toBe(200)
    expect(await ended({ ':method': 'HEAD' }, (sse) => sse.open())).toBe(200)
    expect(await ended({}, (sse) => sse.finish())).toBe(204)
    expect(await ended({}, (sse) => sse.open().finish())).toBe(200)
  })

  it('cuts a peer that does not read', async () => {
    await using h2 = await http2()
    const request = h2.session.request({})
    request.on('error', () => {})
    const sse = eventStream(...(await h2.next()), { maxBufferedBytes: 100_000 })
    sse.open()
    await once(request, 'response')
    for (let i = 0; i < 1_000 && sse.state === 'open'; i++) {
      sse.send('x'.repeat(10_000))
      await turn()
    }
    expect(await sse.closed).toBe('slow')
    if (!request.closed) await once(request.resume(), 'close')
  })
})

describe('requests that are sent ahead', () => {
  it('are cut when too many of them wait behind a stream', async () => {
    const warnings: Error[] = []
    const warned = (warning: Error) => warnings.push(warning)
    process.on('warning', warned)
    onTestFinished(() => void process.off('warning', warned))
    let made = 0
    const server = createHttpServer((req, res) => {
      made++
      eventStream(req, res).open()
    }).listen(0)
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    await once(server, 'listening')
    using client = await RawClient.connect((server.address() as AddressInfo).port)
    const start = performance.now()
    client.socket.write('GET / HTTP/1.1\r\nHost: t\r\n\r\n'.repeat(20_000))
    await client.closed
    // One read of the socket at most is parsed after the cut.
    expect(made).toBeLessThan(5_000)
    expect(warnings).toEqual([])
    expect(performance.now() - start).toBeLessThan(10_000)
  })
})
