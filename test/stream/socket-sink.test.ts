import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https'
import { type AddressInfo, connect, Socket } from 'node:net'
import compression from 'compression'
import cors from 'cors'
import express from 'express'
import session from 'express-session'
import fc from 'fast-check'
import helmet from 'helmet'
import morgan from 'morgan'
import { describe, expect, it, vi } from 'vitest'
import { Frame } from '../../src/protocol/frame.ts'
import type { EventStream } from '../../src/stream/event-stream.ts'
import { eventStream, responseStreamOf } from '../../src/stream/http-event-stream.ts'
import { ResponseSink } from '../../src/stream/response-sink.ts'
import type { Sink } from '../../src/stream/sink.ts'
import { isBareChunked, SocketSink } from '../../src/stream/socket-sink.ts'
import { cert, key } from '../support/certificate.ts'
import { exchange, SERVERS } from '../support/exchange.ts'
import { RawClient } from '../support/raw-client.ts'
import { serve } from '../support/serve.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const PATIENT = { timeout: 15_000, interval: 5 }

/** Whether the next event of a stream goes to the socket, and not through the response. */
function takesSocketPath(sse: EventStream, res: ServerResponse): boolean {
  const write = vi.spyOn(res, 'write')
  sse.send('x')
  const bypassed = write.mock.calls.length === 0
  write.mockRestore()
  return bypassed
}

describe('the socket path is taken', () => {
  it.each(SERVERS)('on a bare response of %s', async (_, app) => {
    await using x = await exchange({ app })
    x.sse.open()
    expect(takesSocketPath(x.sse, x.res)).toBe(true)
    expect((await (await x.client).next()).data).toBe('x')
  })

  it('beside middleware that does not look at the body', async () => {
    await using x = await exchange({
      app: (handler) =>
        express()
          .use(morgan('tiny', { stream: { write: () => {} } }))
          .use(helmet())
          .use(cors())
          .use(session({ secret: 's', resave: false, saveUninitialized: true }))
          .use(handler),
    })
    x.sse.open()
    expect(takesSocketPath(x.sse, x.res)).toBe(true)
    expect((await (await x.client).next()).data).toBe('x')
  })

  it('over TLS', async () => {
    let sse: EventStream | undefined
    let bypassed: boolean | undefined
    const server = createHttpsServer({ key, cert }, (req, res) => {
      sse = eventStream(req, res).open()
      bypassed = takesSocketPath(sse, res)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const request = httpsRequest({ port, host: '127.0.0.1', rejectUnauthorized: false }).end()
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    let text = ''
    response.setEncoding('utf8').on('data', (more) => (text += more))
    await vi.waitUntil(() => text.endsWith('data: x\n\n'), PATIENT)
    expect(bypassed).toBe(true)
    sse!.close()
    await once(response, 'end')
    expect(text).toBe(':\ndata: x\n\n')
    request.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
})

describe('the plain path is taken', () => {
  it.each<[string, (res: ServerResponse, req: IncomingMessage) => void]>([
    [
      'when other code has wrapped write',
      (res) => {
        const { write } = res
        res.write = (...args: unknown[]) => Reflect.apply(write, res, args)
      },
    ],
    [
      'when the prototype has another write',
      (res) => {
        const { write } = res
        const prototype = Object.create(Object.getPrototypeOf(res))
        prototype.write = function (...args: unknown[]) {
          return Reflect.apply(write, this, args)
        }
        Object.setPrototypeOf(res, prototype)
      },
    ],
    ['when there is a flush', (res) => Object.assign(res, { flush: () => {} })],
    [
      'when other code has set another socket',
      (res, req) => {
        const socket = new Proxy(req.socket, { get: (target, name) => Reflect.get(target, name, target) })
        Object.defineProperty(res, 'socket', { configurable: true, value: socket })
      },
    ],
    [
      'when request and response have an object that is not a socket of Node',
      (res, req) => {
        const real = req.socket
        const socket = new Proxy(
          {},
          {
            get: (_, name) => {
              const value = Reflect.get(real, name, real)
              return typeof value === 'function' ? value.bind(real) : value
            },
          },
        )
        Object.defineProperty(res, 'socket', { configurable: true, value: socket })
        Object.defineProperty(req, 'socket', { configurable: true, value: socket })
      },
    ],
    [
      'when the body is not chunked',
      (res) => {
        res.useChunkedEncodingByDefault = false
      },
    ],
  ])('%s', async (_, change) => {
    await using x = await exchange()
    change(x.res, x.req)
    x.sse.open()
    expect(takesSocketPath(x.sse, x.res)).toBe(false)
    expect((await (await x.client).next()).data).toBe('x')
  })

  it('behind compression', async () => {
    await using x = await exchange({ app: (handler) => express().use(compression()).use(handler) })
    x.sse.open()
    expect(takesSocketPath(x.sse, x.res)).toBe(false)
    expect((await (await x.client).next()).data).toBe('x')
  })

  it('while the head waits in the response', async () => {
    await using x = await exchange()
    x.req.socket.end()
    x.res.setHeader('Content-Type', 'text/event-stream')
    x.res.flushHeaders()
    expect(x.res.chunkedEncoding).toBe(true)
    expect(isBareChunked(x.res)).toBe(false)
    x.client.catch(() => {})
  })

  it('before the head is out', async () => {
    await using x = await exchange()
    x.res.setHeader('Transfer-Encoding', 'chunked')
    expect(isBareChunked(x.res)).toBe(false)
    x.res.end()
  })

  it('on HTTP/1.0, and behind an earlier request of the connection', async () => {
    const streams: [EventStream, ServerResponse][] = []
    await using server = await serve((req, res) => {
      streams.push([eventStream(req, res).open(), res])
    })
    using old = await RawClient.connect(server.port)
    old.socket.write('GET / HTTP/1.0\r\nHost: t\r\n\r\n')
    await old.until(':\n')
    expect(takesSocketPath(...streams[0]!)).toBe(false)
    await old.until('data: x\n\n')
    using pipelining = await RawClient.connect(server.port)
    pipelining.socket.write('GET / HTTP/1.1\r\nHost: t\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n')
    await vi.waitUntil(() => streams.length === 3, PATIENT)
    expect(takesSocketPath(...streams[1]!)).toBe(true)
    expect(takesSocketPath(...streams[2]!)).toBe(false)
    streams[1]![0].close()
    await pipelining.until('0\r\n\r\nHTTP/1.1 200 OK')
    // It stays on the way that it took at first.
    expect(takesSocketPath(...streams[2]!)).toBe(false)
    expect((await pipelining.until('data: x\n\n')).split('data: x\n\n').length).toBeGreaterThan(1)
  })
})

describe('a stream on the socket path', () => {
  it('writes nothing after other code has ended the response: the connection continues', async () => {
    const streams: [EventStream, ServerResponse][] = []
    await using server = await serve((req, res) => {
      if (req.url === '/next') return void res.end('next')
      streams.push([eventStream(req, res).open(), res])
    })
    using client = await RawClient.connect(server.port)
    client.request('GET /')
    await client.until(':\n')
    const [sse, res] = streams[0]!
    sse.send('a')
    res.end()
    expect(sse.state).toBe('closed')
    expect(sse.send('b')).toBe(false)
    expect(responseStreamOf(sse)!.write(Frame.of('data: c\n\n'))).toBe(false)
    await client.until('0\r\n\r\n')
    client.request('GET /next')
    await client.until('\r\n\r\nnext')
    expect(client.received).toMatch(/\r\n\r\n2\r\n:\n\r\n9\r\ndata: a\n\n\r\n0\r\n\r\nHTTP\/1\.1 200 OK\r\n/)
    expect(await sse.closed).toBe('server')
  })

  it('keeps its order with writes of other code to the response', async () => {
    await using x = await exchange()
    x.sse.open()
    x.sse.send('1')
    x.res.write('data: 2\n\n')
    x.sse.send('3')
    x.res.write('data: 4\n\n')
    x.sse.send('5')
    const client = await x.client
    for (const data of ['1', '2', '3', '4', '5']) expect((await client.next()).data).toBe(data)
  })

  it('loses nothing to a peer that has ended its side and still reads', async () => {
    let sse: EventStream | undefined
    let socket: Socket | undefined
    await using server = await serve((req, res) => {
      socket = req.socket
      sse = eventStream(req, res).open()
      sse.send('x'.repeat(40_000_000))
    })
    const errors: Error[] = []
    server.server.on('clientError', (error) => errors.push(error))
    const client = connect(server.port, '127.0.0.1').pause()
    client.end('GET / HTTP/1.1\r\nHost: t\r\n\r\n')
    // Node ends the connection after the waiting bytes; later bytes are too late.
    await vi.waitUntil(() => socket?.writable === false, PATIENT)
    expect(responseStreamOf(sse)!.write(Frame.of('data: late\n\n'))).toBe(false)
    await turn()
    let read = 0
    client.on('data', (bytes) => (read += bytes.length)).resume()
    await once(client, 'close')
    expect(read).toBeGreaterThan(40_000_000)
    expect(await sse!.closed).toBe('client')
    expect(errors).toEqual([])
  })

  it('does not fail when the connection is destroyed under it', async () => {
    await using x = await exchange()
    x.sse.open()
    await x.client
    x.req.socket.destroy()
    expect(x.stream.write(Frame.of('data: a\n\n'))).toBe(false)
    expect(x.sse.send('b')).toBe(false)
    expect(await x.sse.closed).toBe('client')
  })

  it('adds one listener for drain for all callers, and removes it', async () => {
    await using x = await exchange()
    x.sse.open()
    const { socket } = x.req
    const client = await x.client
    // A stream that lets go takes Node's own off.
    await turn()
    await turn()
    const before = socket.listenerCount('drain')
    x.sse.send('x'.repeat(40_000_000))
    const waiting = Array.from({ length: 20 }, () => x.sse.drained())
    expect(socket.listenerCount('drain')).toBe(before + 1)
    expect((await client.next({ timeoutMs: 30_000 })).data.length).toBe(40_000_000)
    await Promise.all(waiting)
    expect(socket.listenerCount('drain')).toBe(before)
  })

  it('reports no drain after its end', async () => {
    await using x = await exchange()
    x.sse.open()
    const client = await x.client
    x.sse.send('x'.repeat(40_000_000))
    const told = vi.fn()
    x.stream.onDrain(told)
    x.sse.close()
    expect((await client.next({ timeoutMs: 30_000 })).data.length).toBe(40_000_000)
    await client.ended
    await turn()
    expect(told).not.toHaveBeenCalled()
  })

  it('does not hold the response', async () => {
    await using x = await exchange()
    x.sse.open()
    await x.client
    expect(x.stream.response).toBe(x.res)
    x.res.end()
    await x.sse.closed
    // Ending it twice does nothing; the sink finds the response through the socket's server, or not at all.
    x.sse.close()
  })
})

describe('both paths', () => {
  async function bytesOf(make: (res: ServerResponse) => Sink, texts: readonly string[]): Promise<string> {
    const server = createHttpServer((_req, res) => {
      res.sendDate = false
      res.setHeader('Content-Type', 'text/event-stream')
      res.flushHeaders()
      const sink = make(res)
      for (const text of texts) sink.write(Frame.of(text))
      sink.end(true)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    using client = await RawClient.connect((server.address() as AddressInfo).port)
    client.request('GET /')
    await client.closed
    await new Promise((resolve) => server.close(resolve))
    return client.received
  }

  it('write the same bytes', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'binary', minLength: 1, maxLength: 3_000 })), async (texts) => {
        const bare = await bytesOf((res) => {
          expect(isBareChunked(res)).toBe(true)
          expect(res.socket).toBeInstanceOf(Socket)
          return new SocketSink(res)
        }, texts)
        expect(bare).toBe(await bytesOf((res) => new ResponseSink(res, () => {}), texts))
      }),
      { numRuns: 25 },
    )
  })
})
