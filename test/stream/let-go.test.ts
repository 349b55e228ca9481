import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerOptions, type ServerResponse } from 'node:http'
import { createServer as createHttpsServer, request as httpsRequest } from 'node:https'
import { type AddressInfo, connect, Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import compression from 'compression'
import cors from 'cors'
import express, { type Application } from 'express'
import express4 from 'express-4'
import session from 'express-session'
import helmet from 'helmet'
import morgan from 'morgan'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Frame } from '../../src/protocol/frame.ts'
import type { EventStream } from '../../src/stream/event-stream.ts'
import { eventStream, responseStreamOf } from '../../src/stream/http-event-stream.ts'
import type { SseOptions } from '../../src/stream/options.ts'
import type { Sink } from '../../src/stream/sink.ts'
import { manualClock } from '../../src/testing/index.ts'
import { cert, key } from '../support/certificate.ts'
import { SERVERS } from '../support/exchange.ts'
import { RawClient } from '../support/raw-client.ts'

const SOON = { timeout: 15_000, interval: 5 }
const turn = () => new Promise((resolve) => setImmediate(resolve))
const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

type Listener = (req: IncomingMessage, res: ServerResponse) => void
type Parsed = Socket & { parser?: unknown; _httpMessage?: unknown }

/** Whether Node serves a socket no more. */
const isLetGo = (socket: Socket) => (socket as Parsed).parser === null && (socket as Parsed)._httpMessage === null

/** Lets a property have a value until the test is over, whatever Node makes of it. */
function pretend(of: object, name: string, value: unknown): void {
  const own = Object.getOwnPropertyDescriptor(of, name)
  Object.defineProperty(of, name, { configurable: true, get: () => value, set: () => {} })
  onTestFinished(() => {
    if (own === undefined) Reflect.deleteProperty(of, name)
    else Object.defineProperty(of, name, own)
  })
}

/** As many turns as letting go takes, and some. */
async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await turn()
}

interface Open {
  readonly req: IncomingMessage
  readonly res: ServerResponse
  readonly socket: Socket
  readonly sse: EventStream
}

interface Up {
  readonly server: Server
  readonly port: number
  /** Requests in their order, each with its stream, which `letGo` is on for. */
  next(): Promise<Open>
}

interface UpOptions extends ServerOptions {
  readonly app?: ((handler: Listener) => Listener) | undefined
  readonly sse?: SseOptions
  /** What a handler does besides, before it opens the stream. */
  readonly before?: Listener
}

async function up({ app = (handler) => handler, sse, before, ...options }: UpOptions = {}): Promise<Up> {
  const streams: Open[] = []
  const server = createServer(
    options,
    app((req, res) => {
      if (req.url === '/plain') return void res.end('plain')
      before?.(req, res)
      const stream = eventStream(req, res, { letGo: true, ...sse })
      streams.push({ req, res, socket: req.socket, sse: stream })
      stream.open()
    }),
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
  })
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  return {
    server,
    port: (server.address() as AddressInfo).port,
    next: () => vi.waitUntil(() => streams.shift(), { interval: 1, timeout: 5_000 }),
  }
}

/** A client with its stream, which was let go. */
async function opened(on: Up): Promise<Open & { client: RawClient }> {
  const client = await RawClient.connect(on.port)
  onTestFinished(() => client[Symbol.dispose]())
  client.request('GET /')
  await client.until(':\n')
  const open = await on.next()
  await vi.waitUntil(() => isLetGo(open.socket), SOON)
  return { ...open, client }
}

/** The same for a stream that must not be let go. */
async function kept(on: Up): Promise<Open & { client: RawClient }> {
  const client = await RawClient.connect(on.port)
  onTestFinished(() => client[Symbol.dispose]())
  client.request('GET /')
  await client.until(':\n')
  const open = await on.next()
  await turns()
  expect(isLetGo(open.socket)).toBe(false)
  return { ...open, client }
}

describe.each(SERVERS)('a stream of %s that has let go', (_, app) => {
  it('sends, waits for its peer, and closes with the end of the body and of the connection', async () => {
    const on = await up({ app })
    const { sse, client, req, res } = await opened(on)
    expect(sse.state).toBe('open')
    expect(responseStreamOf(sse)!.response).toBe(res)
    expect(req.destroyed).toBe(true)
    expect(sse.send('a')).toBe(true)
    expect(sse.comment('b')).toBe(true)
    expect(sse.retry(1_000)).toBe(true)
    expect(await sse.stream(['c', 'd'], { end: false })).toEqual({ sent: 2, reason: 'done' })
    sse.send('x'.repeat(8_000_000), { event: 'big' })
    expect(sse.bufferedBytes).toBeGreaterThan(0)
    expect(responseStreamOf(sse)!.unsentBytes).toBeGreaterThanOrEqual(sse.bufferedBytes)
    await sse.drained()
    expect(sse.bufferedBytes).toBe(0)
    sse.send('e')
    sse.close()
    expect(sse.state).toBe('closed')
    expect(sse.send('f')).toBe(false)
    expect(await sse.closed).toBe('server')
    await client.closed
    const [begin, end] = [client.received.slice(0, 1_000), client.received.slice(-40)]
    expect(begin).toContain('data: a\n\n\r\n4\r\n: b\n\r\n')
    expect(begin).toContain('data: c\n\n\r\n9\r\ndata: d\n\n')
    expect(end).toMatch(/data: e\n\n\r\n0\r\n\r\n$/)
    expect([res.writableEnded, res.destroyed]).toEqual([true, true])
  })

  it('finishes', async () => {
    const { sse, client } = await opened(await up({ app }))
    sse.finish()
    await client.closed
    expect(client.received).toMatch(/event: hub\.finished\nid: hub\.finished\ndata: {}\n\n\r\n0\r\n\r\n$/)
  })

  it('has a heartbeat and an end', async () => {
    const clock = manualClock()
    const { sse, client } = await opened(
      await up({ app, sse: { clock, heartbeatIntervalMs: 1_000, maxLifetimeMs: 100_000 } }),
    )
    clock.advance(1_000)
    await client.until('2\r\n:\n\r\n2\r\n:\n\r\n')
    clock.advance(99_000)
    expect(await sse.closed).toBe('expired')
    await client.closed
    expect(client.received).toMatch(/0\r\n\r\n$/)
    expect(clock.pendingTimers).toBe(0)
  })

  it.each<[string, (client: RawClient) => void]>([
    ['resets', (client) => client.reset()],
    ['destroys', (client) => client.socket.destroy()],
    ['ends its side', (client) => client.socket.end()],
  ])('ends when the client %s', async (_, leave) => {
    const { sse, client, socket, req, res } = await opened(await up({ app }))
    const aborted = sse.signal
    const heard = vi.fn()
    req.on('aborted', heard)
    leave(client)
    expect(await sse.closed).toBe('client')
    expect(aborted.aborted).toBe(true)
    await vi.waitUntil(() => socket.destroyed, SOON)
    expect(sse.send('late')).toBe(false)
    expect(heard).not.toHaveBeenCalled()
    // Code that still has the response sees the state of any closed response.
    await vi.waitFor(() => expect([res.destroyed, res.closed, res.writableEnded]).toEqual([true, true, false]), SOON)
    expect(res.write('late')).toBe(false)
  })

  it('delivers the waiting bytes to a peer that has ended its side and still reads', async () => {
    const on = await up({ app })
    const { sse, client } = await opened(on)
    client.socket.pause()
    sse.send('x'.repeat(24_000_000))
    client.socket.end()
    await wait(50)
    client.socket.resume()
    await client.closed
    expect(client.socket.bytesRead).toBeGreaterThan(24_000_000)
    expect(await sse.closed).toBe('client')
  })
})

describe('of later bytes on the connection', () => {
  it('a second request is not served', async () => {
    const served = vi.fn()
    const on = await up({ before: served })
    const { sse, client } = await opened(on)
    client.request('POST /', 'Content-Length: 0')
    client.request('GET /plain')
    await wait(50)
    expect(served).toHaveBeenCalledOnce()
    sse.send('still here')
    expect(await client.until('still here')).not.toContain('plain')
    expect(sse.state).toBe('open')
  })

  it('junk is cut after 4 KiB', async () => {
    const { sse, client, socket } = await opened(await up())
    client.socket.write('x'.repeat(4_000))
    await wait(50)
    expect(sse.state).toBe('open')
    client.socket.write('x'.repeat(200_000))
    expect(await sse.closed).toBe('client')
    expect(socket.destroyed).toBe(true)
    await client.closed
  })

  it('nothing is held in memory, however slowly it comes', async () => {
    const { sse, client, socket } = await opened(await up())
    for (let i = 0; i < 5 && sse.state === 'open'; i++) {
      client.socket.write('x'.repeat(1_000))
      await wait(10)
      expect(socket.readableLength).toBe(0)
    }
    expect(await sse.closed).toBe('client')
  })
})

describe('the stream stays ordinary', () => {
  it.each<[string, Listener]>([
    ['on the response for close', (_req, res) => void res.on('close', () => {})],
    ['on the response for finish', (_req, res) => void res.on('finish', () => {})],
    ['on the response for error', (_req, res) => void res.on('error', () => {})],
    ['on the response for drain', (_req, res) => void res.on('drain', () => {})],
    ['on the response for prefinish', (_req, res) => void res.on('prefinish', () => {})],
    ['on the request for close', (req) => void req.on('close', () => {})],
    ['on the request for aborted', (req) => void req.on('aborted', () => {})],
    ['on the request for end', (req) => void req.on('end', () => {})],
    ['on the socket for data', (req) => void req.socket.on('data', () => {})],
    ['on the socket for timeout', (req) => void req.socket.on('timeout', () => {})],
  ])('while other code listens %s', async (_, before) => {
    const { sse, client } = await kept(await up({ before }))
    sse.send('a')
    await client.until('data: a\n\n')
    client.reset()
    expect(await sse.closed).toBe('client')
  })

  it.each<[string, Listener]>([
    [
      'has wrapped end',
      (_req, res) => {
        const { end } = res
        res.end = ((...args: unknown[]) => Reflect.apply(end, res, args)) as typeof res.end
      },
    ],
    [
      'has wrapped on',
      (_req, res) => {
        const { on } = res
        res.on = ((...args: unknown[]) => Reflect.apply(on, res, args)) as typeof res.on
      },
    ],
    ['has corked the response', (_req, res) => res.cork()],
    // What follows are states that Node can be in only for a moment, or not at all as far as is known.
    ['has given the response another socket', (_req, res) => pretend(res, 'socket', new Socket())],
    ['serves another response on the socket', ({ socket }) => pretend(socket, '_httpMessage', {})],
    ['has destroyed the response', (_req, res) => pretend(res, 'destroyed', true)],
    ['has something waiting in the response', (_req, res) => pretend(res, 'writableLength', 1)],
    ['keeps the request from closing', (req) => pretend(req, 'closed', false)],
    ['has ended the socket', ({ socket }) => pretend(socket, 'writable', false)],
    ['has seen the end of the socket', ({ socket }) => pretend(socket, 'readable', false)],
    ['has paused the socket', ({ socket }) => pretend(socket, 'readableFlowing', false)],
    ['has read ahead', ({ socket }) => pretend(socket, 'readableLength', 1)],
  ])('if other code %s', async (_, change) => {
    const on = await up()
    on.server.prependListener('request', (req, res) => void setImmediate(() => change(req, res)))
    const client = await RawClient.connect(on.port)
    onTestFinished(() => client[Symbol.dispose]())
    client.request('GET /')
    const { socket } = await on.next()
    await turns()
    expect(isLetGo(socket)).toBe(false)
  })

  it('where the response was ended and waits for its peer, and serves the next request', async () => {
    const on = await up()
    using client = await RawClient.connect(on.port)
    client.socket.pause()
    on.server.prependListener('request', (_req, res) => {
      if (res.req.url === '/') setImmediate(() => res.end('x'.repeat(24_000_000)))
    })
    client.request('GET /')
    const { socket } = await on.next()
    await turns()
    expect(isLetGo(socket)).toBe(false)
    client.socket.resume()
    client.request('GET /plain')
    await vi.waitFor(() => expect(client.received.slice(-9)).toBe('\r\n\r\nplain'), SOON)
  })

  it('where the response has another stream as well', async () => {
    await kept(await up({ before: (req, res) => void eventStream(req, res) }))
  })

  it('where a second request was in the same packet, and serves it', async () => {
    const on = await up()
    using client = await RawClient.connect(on.port)
    client.socket.write('GET / HTTP/1.1\r\nHost: t\r\n\r\nGET /plain HTTP/1.1\r\nHost: t\r\n\r\n')
    const { sse, socket } = await on.next()
    await client.until(':\n')
    await turns()
    expect(isLetGo(socket)).toBe(false)
    sse.close()
    expect(await client.until('\r\n\r\nplain')).toContain('0\r\n\r\nHTTP/1.1 200 OK')
    expect(await sse.closed).toBe('server')
  })

  it('where a second request comes before it is let go', async () => {
    let parser: { incoming: unknown } | undefined
    const before: Listener = (req) => {
      const { resume } = req
      // Between the two turns.
      req.resume = () => {
        parser = (req.socket as Parsed).parser as { incoming: unknown }
        parser.incoming = {}
        return Reflect.apply(resume, req, [])
      }
    }
    const { req } = await kept(await up({ before }))
    expect(parser).toBeDefined()
    parser!.incoming = req
  })

  it('where the body is still to come, which can be read', async () => {
    const bodies: string[] = []
    const on = await up()
    using client = await RawClient.connect(on.port)
    client.request('GET /', 'Content-Length: 5')
    const { req, socket, sse } = await on.next()
    await client.until(':\n')
    await turns()
    expect(isLetGo(socket)).toBe(false)
    client.socket.write('hello')
    await vi.waitUntil(() => req.complete, SOON)
    for await (const chunk of req) bodies.push(String(chunk))
    expect(bodies).toEqual(['hello'])
    sse.send('a')
    await client.until('data: a\n\n')
  })

  it('if the body has arrived and is unread', async () => {
    const on = await up()
    using client = await RawClient.connect(on.port)
    client.socket.write('POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nhello')
    const { req, socket } = await on.next()
    await client.until(':\n')
    await turns()
    expect(isLetGo(socket)).toBe(false)
    expect(String((await req[Symbol.asyncIterator]().next()).value)).toBe('hello')
  })

  it('on HTTP/1.0, and without the option', async () => {
    const on = await up()
    using client = await RawClient.connect(on.port)
    client.socket.write('GET / HTTP/1.0\r\nHost: t\r\n\r\n')
    const { socket } = await on.next()
    await turns()
    expect(isLetGo(socket)).toBe(false)
    await kept(await up({ sse: { letGo: false } }))
  })
})

it('a request whose body was read is let go, with listeners that can no longer be called', async () => {
  const on = await up({
    app: (handler) =>
      express().post('/', express.json(), (req, res) => {
        expect(req.body).toEqual({ a: 1 })
        handler(req.on('close', () => {}) as IncomingMessage, res as ServerResponse)
      }) as unknown as Listener,
  })
  using client = await RawClient.connect(on.port)
  const body = '{"a":1}'
  client.socket.write(
    `POST / HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
  )
  const { socket, sse } = await on.next()
  await vi.waitUntil(() => isLetGo(socket), SOON)
  sse.send('a')
  await client.until('data: a\n\n')
})

describe('of the timeouts of a server', () => {
  it.each<[string, ServerOptions, number]>([
    ['those of requests', { headersTimeout: 100, requestTimeout: 150, connectionsCheckingInterval: 30 }, 500],
    ['keepAliveTimeout', { keepAliveTimeout: 100 }, 1_400],
  ])('%s do not end a stream', async (_, options, ms) => {
    const { sse, client } = await opened(await up(options))
    await wait(ms)
    sse.send('a')
    await client.until('data: a\n\n')
    expect(sse.state).toBe('open')
  })

  it('timeout does not either', async () => {
    const on = await up()
    on.server.timeout = 100
    const { sse, client, socket } = await opened(on)
    expect(socket.timeout).toBe(0)
    await wait(400)
    sse.send('a')
    await client.until('data: a\n\n')
  })

  it('an end that the peer does not answer is cut', async () => {
    const on = await up()
    const socket = connect({ port: on.port, host: '127.0.0.1', allowHalfOpen: true })
    onTestFinished(() => void socket.destroy())
    socket.write('GET / HTTP/1.1\r\nHost: t\r\n\r\n')
    const open = await on.next()
    socket.resume()
    await vi.waitUntil(() => isLetGo(open.socket), SOON)
    open.sse.close()
    await vi.waitFor(() => expect(open.socket.timeout).toBe(5_000), SOON)
    open.socket.emit('timeout')
    expect(open.socket.destroyed).toBe(true)
  })
})

describe('of the ends of a server', () => {
  it('closeIdleConnections and closeAllConnections leave a stream alone; close waits for it', async () => {
    const on = await up()
    const { sse, client } = await opened(on)
    on.server.closeIdleConnections()
    on.server.closeAllConnections()
    const closed = vi.fn()
    on.server.close(closed)
    await wait(50)
    sse.send('a')
    await client.until('data: a\n\n')
    expect(closed).not.toHaveBeenCalled()
    sse.close('shutdown')
    await client.closed
    await vi.waitFor(() => expect(closed).toHaveBeenCalledOnce(), SOON)
  })

  it('a peer that never reads is cut after a while', async () => {
    const clock = manualClock()
    const { sse, client } = await opened(await up({ sse: { clock } }))
    client.socket.pause()
    sse.send('x'.repeat(24_000_000))
    await turn()
    sse.close()
    expect(clock.pendingTimers).toBe(1)
    clock.advance(5_000)
    client.socket.resume()
    await client.closed
    expect(client.socket.bytesRead).toBeLessThan(24_000_000)
    expect(clock.pendingTimers).toBe(0)
  })

  it('one that is too slow is cut', async () => {
    const { sse, socket, client } = await opened(await up({ sse: { maxBufferedBytes: 100_000 } }))
    socket.cork()
    sse.send('x'.repeat(200_000))
    expect(sse.send('y')).toBe(false)
    expect(await sse.closed).toBe('slow')
    expect(socket.destroyed).toBe(true)
    await client.closed
  })
})

describe('code that uses the response again', () => {
  it('by a listener receives its close', async () => {
    const { res, sse, client, socket } = await opened(await up())
    const closed = once(res, 'close')
    expect(res.socket).toBe(socket)
    sse.send('a')
    await client.until('data: a\n\n')
    client.reset()
    await closed
    expect([res.destroyed, res.closed]).toEqual([true, true])
    expect(await sse.closed).toBe('client')
  })

  it.each(['on', 'addListener', 'prependListener', 'prependOnceListener'] as const)('by %s, too', async (method) => {
    const { res, sse, client } = await opened(await up())
    const closed = vi.fn()
    res[method]('close', closed)
    sse.close()
    await client.closed
    expect(client.received).toMatch(/\r\n\r\n2\r\n:\n\r\n0\r\n\r\n$/)
    await vi.waitFor(() => expect(closed).toHaveBeenCalledOnce(), SOON)
  })

  it('writes to it in order, and receives its drain', async () => {
    const { res, sse, client } = await opened(await up())
    sse.send('1')
    res.write('data: 2\n\n')
    sse.send('3')
    const drained = once(res, 'drain')
    expect(res.write(`data: ${'x'.repeat(2_000_000)}\n\n`)).toBe(false)
    await drained
    expect(res.writableNeedDrain).toBe(false)
    res.write('data: 4\n\n')
    sse.send('5')
    await client.until('data: 5\n\n')
    expect([...client.received.matchAll(/data: (\d)\n/g)].map((match) => match[1])).toEqual(['1', '2', '3', '4', '5'])
  })

  it('ends it, and with it the stream and the connection, on which no request can follow', async () => {
    const { res, sse, client, socket } = await opened(await up())
    const finished = once(res, 'finish')
    res.end('data: last\n\n')
    expect(sse.state).toBe('closed')
    expect(sse.send('late')).toBe(false)
    await finished
    expect(await sse.closed).toBe('server')
    await client.closed
    expect(client.received).toMatch(/data: last\n\n\r\n0\r\n\r\n$/)
    expect([res.writableEnded, res.writableFinished]).toEqual([true, true])
    await vi.waitUntil(() => socket.destroyed, SOON)
    expect(res.closed).toBe(true)
  })

  it('destroys it, and with it the connection', async () => {
    const { res, sse, client } = await opened(await up())
    res.destroy()
    expect(await sse.closed).toBe('client')
    await client.closed
  })

  it('sets a timeout for it', async () => {
    const { res, socket } = await opened(await up())
    res.setTimeout(5_000)
    expect(socket.timeout).toBe(5_000)
  })

  it('cannot send another head', async () => {
    const { res } = await opened(await up())
    expect(res.headersSent).toBe(true)
    expect(() => res.writeHead(200)).toThrow('Cannot write headers after they are sent')
    expect(() => res.setHeader('a', 'b')).toThrow('Cannot set headers after they are sent')
  })

  it('after Express has given it back its prototype finds it ended by the stream', async () => {
    const { res, sse, client } = await opened(await up())
    const over = Object.getPrototypeOf(res)
    Object.setPrototypeOf(res, Object.getPrototypeOf(over))
    sse.close()
    await client.closed
    expect(client.received).toMatch(/0\r\n\r\n$/)
    expect(res.writableEnded).toBe(true)
  })

  it('with the events of the request at the end of the connection, if this Node has them', async () => {
    let signal: AbortSignal | undefined
    const on = await up({
      before: (req) => {
        signal = (req as { signal?: AbortSignal }).signal
      },
    })
    const { sse, client, req } = await opened(on)
    const late = (req as { signal?: AbortSignal }).signal
    client.reset()
    await sse.closed
    expect([signal?.aborted ?? true, late?.aborted ?? true]).toEqual([true, true])
  })
})

describe('whose response is gone', () => {
  /** As after a collection. */
  function collected(sse: EventStream): Sink {
    const { outlet } = responseStreamOf(sse)!
    vi.spyOn(outlet, 'response', 'get').mockReturnValue(undefined)
    return outlet
  }

  it('ends once', async () => {
    const { sse, client } = await opened(await up())
    const outlet = collected(sse)
    outlet.end(false)
    expect([outlet.ended, sse.state]).toEqual([true, 'closed'])
    expect(outlet.write(Frame.of('data: late\n\n'))).toBe(false)
    outlet.end(false)
    await client.closed
    expect(client.received).toMatch(/\r\n2\r\n:\n\r\n0\r\n\r\n$/)
  })

  it('waits for its peer no longer than it has to', async () => {
    const clock = manualClock()
    const { sse, client } = await opened(await up({ sse: { clock } }))
    collected(sse)
    client.socket.pause()
    sse.send('x'.repeat(24_000_000))
    sse.close()
    expect(clock.pendingTimers).toBe(1)
    client.socket.resume()
    await client.closed
    expect(client.socket.bytesRead).toBeGreaterThan(24_000_000)
    await vi.waitFor(() => expect(clock.pendingTimers).toBe(0), SOON)
  })
})

describe('memory', () => {
  it.each(SERVERS)('of request and response is given back by %s while the stream is open', async (_, app) => {
    const weak: WeakRef<object>[] = []
    const streams: EventStream[] = []
    const server = createServer(
      app((req, res) => {
        weak.push(new WeakRef(req), new WeakRef(res))
        streams.push(eventStream(req, res, { letGo: true }).open())
      }),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const clients = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const client = await RawClient.connect((server.address() as AddressInfo).port)
        client.request('GET /')
        await client.until(':\n')
        return client
      }),
    )
    // The last one may be on a stack or in a register.
    const left = () => weak.filter((ref) => ref.deref() !== undefined).length
    await vi.waitFor(
      async () => {
        await turns()
        collect()
        expect(left()).toBeLessThanOrEqual(4)
      },
      { timeout: 15_000, interval: 50 },
    )
    for (const sse of streams) expect([sse.state, sse.send('a')]).toEqual(['open', true])
    for (const client of clients) await client.until('data: a\n\n')
    const gone = streams.find((sse) => responseStreamOf(sse)!.response === undefined)!
    gone.close()
    await clients[streams.indexOf(gone)]!.closed
    expect(clients[streams.indexOf(gone)]!.received).toMatch(/data: a\n\n\r\n0\r\n\r\n$/)
    for (const client of clients) client.reset()
    for (const sse of streams) expect(await sse.closed).toBe(sse === gone ? 'server' : 'client')
    expect(await new Promise((resolve) => server.getConnections((_, count) => resolve(count)))).toBe(0)
    await new Promise((resolve) => server.close(resolve))
  })

  it('holds nothing after many have come and gone', async () => {
    const on = await up()
    const weak: WeakRef<object>[] = []
    for (let round = 0; round < 5; round++) {
      await Promise.all(
        Array.from({ length: 40 }, async (_, i) => {
          using client = await RawClient.connect(on.port)
          client.request('GET /')
          await client.until(':\n')
          if (i % 2 === 0) await turns()
          if (i % 3 === 0) client.reset()
        }),
      )
      for (let i = 0; i < 40; i++) {
        const { req, res, socket, sse } = await on.next()
        weak.push(new WeakRef(req), new WeakRef(res), new WeakRef(socket), new WeakRef(sse))
      }
    }
    const count = () => new Promise((resolve) => on.server.getConnections((_, count) => resolve(count)))
    await vi.waitFor(async () => expect(await count()).toBe(0), SOON)
    await vi.waitFor(
      async () => {
        await turns()
        collect()
        expect(weak.filter((ref) => ref.deref() !== undefined).length).toBeLessThanOrEqual(12)
      },
      { timeout: 15_000, interval: 50 },
    )
  })

  it('has the same few listeners on each socket, none of them of Node’s server', async () => {
    const { socket, client } = await opened(await up())
    const own = (event: string) => socket.listeners(event).map((listener) => listener.name)
    expect(own('data')).toEqual(['countSurplus'])
    expect(own('error')).toEqual(['ignore'])
    for (const event of ['timeout', 'drain', 'resume', 'pause']) expect(own(event)).toEqual([])
    const everything = socket.eventNames().flatMap((event) => own(String(event)))
    expect(everything.filter((name) => /socketOn|onSocket|onServerResponse/.test(name))).toEqual([])
    expect(Object.hasOwn(socket, 'on') ? socket.on : undefined).toBe((await import('node:net')).Socket.prototype.on)
    client.reset()
  })
})

describe('on a Node that is other than expected', () => {
  /** The library as a process has it that has served nothing. */
  async function fresh() {
    vi.resetModules()
    return (await import('../../src/stream/http-event-stream.ts')).eventStream
  }

  async function warned(
    change: (socket: Socket) => void,
    during: (req: IncomingMessage, res: ServerResponse) => () => void = () => () => {},
  ): Promise<{ warnings: Error[]; states: boolean[] }> {
    const make = await fresh()
    const warnings: Error[] = []
    const warn = vi.spyOn(process, 'emitWarning').mockImplementation(((text: string, options: object) => {
      warnings.push(Object.assign(new Error(text), options))
    }) as typeof process.emitWarning)
    onTestFinished(() => warn.mockRestore())
    const streams: [EventStream, Socket, () => void][] = []
    const server = createServer((req, res) => {
      streams.push([make(req, res, { letGo: true }).open(), req.socket, during(req, res)])
    })
    server.on('connection', change)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const states: boolean[] = []
    for (let i = 0; i < 3; i++) {
      using client = await RawClient.connect((server.address() as AddressInfo).port)
      client.request('GET /')
      await client.until(':\n')
      await turns()
      const [sse, socket, restore] = streams[i]!
      restore()
      states.push(isLetGo(socket))
      sse.send('a')
      await client.until('data: a\n\n')
      client.reset()
      expect(await sse.closed).toBe('client')
    }
    await new Promise((resolve) => server.close(resolve))
    return { warnings, states }
  }

  const named = (name: string) => Object.defineProperty(() => {}, 'name', { value: name })

  it.each([
    ['data', 'bound socketOnData'],
    ['end', 'bound socketOnEnd'],
    ['close', 'bound socketOnClose'],
    ['drain', 'bound socketOnDrain'],
    ['error', 'socketOnError'],
    ['timeout', 'socketOnTimeout'],
    ['resume', 'onSocketResume'],
    ['pause', 'onSocketPause'],
  ])(
    'without a listener for %s called %s all streams are ordinary, and one warning is emitted',
    async (event, name) => {
      const { warnings, states } = await warned((socket) => {
        const listener = socket.listeners(event).find((listener) => listener.name === name)!
        const other = function (this: Socket, ...args: unknown[]) {
          return Reflect.apply(listener, this, args)
        }
        socket.removeListener(event, listener as () => void)
        Reflect.apply((socket.constructor as typeof Socket).prototype.on, socket, [event, other])
      })
      expect(warnings).toMatchObject([
        {
          type: 'ExpressSseHubWarning',
          code: 'ERR_SSE_LET_GO',
          message: `letGo is off: Node ${process.version} serves a connection in another way (no listener ${name}).`,
        },
      ])
      expect(states).toEqual([false, false, false])
    },
  )

  it('without a parser as well', async () => {
    const { warnings, states } = await warned(
      () => {},
      ({ socket }) => {
        const { parser } = socket as Parsed
        ;(socket as Parsed).parser = undefined
        return () => {
          ;(socket as Parsed).parser = parser
        }
      },
    )
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining('(no parser)')])
    expect(states).toEqual([false, false, false])
  })

  it.each([
    ['close', 'onServerResponseClose', (_req: IncomingMessage, res: ServerResponse) => res.socket!],
    ['finish', 'bound resOnFinish', (_req: IncomingMessage, res: ServerResponse) => res],
  ] as const)('without the listener of a response for %s called %s as well', async (event, name, of) => {
    const { warnings, states } = await warned(
      () => {},
      (req, res) => {
        const target = of(req, res)
        const listener = target.listeners(event).find((listener) => listener.name === name) as () => void
        target.removeListener(event, listener)
        const other = () => {}
        target.on(event, other)
        return () => target.removeListener(event, other).on(event, listener)
      },
    )
    expect(warnings.map(({ message }) => message)).toEqual([expect.stringContaining(`(no listener ${name})`)])
    expect(states).toEqual([false, false, false])
  })

  it('with a parser that is not freed it is the last one', async () => {
    const { warnings, states } = await warned((socket) => {
      const listener = socket.listeners('close').find((listener) => listener.name === 'bound socketOnClose')!
      socket.removeListener('close', listener as () => void)
      socket.on('close', named('bound socketOnClose'))
      socket.once('end', () => Reflect.apply(listener, socket, []))
    })
    expect(warnings).toHaveLength(1)
    expect(warnings[0]!.message).toContain('the parser was not freed')
    expect(states).toEqual([false, false, false])
  })

  it('a listener of the same name that is not of Node makes one stream ordinary, and no warning', async () => {
    let i = 0
    const { warnings, states } = await warned((socket) => {
      if (i++ === 1) socket.on('error', named('socketOnError'))
    })
    expect(warnings).toEqual([])
    expect(states).toEqual([true, false, true])
  })

  it('other code that reads the first socket, which changes its listeners, causes no warning either', async () => {
    let i = 0
    const { warnings, states } = await warned(
      () => {},
      ({ socket }) => {
        const read = () => {}
        if (i++ === 0) socket.on('data', read)
        return () => void socket.off('data', read)
      },
    )
    expect(warnings).toEqual([])
    expect(states).toEqual([false, true, true])
  })

  it('one odd connection among others does so, too', async () => {
    let i = 0
    const { warnings, states } = await warned((socket) => {
      if (i++ === 1) socket.removeAllListeners('pause')
    })
    expect(warnings).toEqual([])
    expect(states).toEqual([true, false, true])
  })
})

describe.each<[string, () => Application]>([
  ['Express 5', express],
  ['Express 4', () => express4() as unknown as Application],
])('beside middleware of %s', (_, make) => {
  const behind =
    (...middleware: unknown[]) =>
    (handler: Listener) =>
      make()
        .use(...(middleware as Parameters<Application['use']>))
        .use(handler as never) as unknown as Listener

  it('helmet and cors do not prevent it', async () => {
    const { client } = await opened(await up({ app: behind(helmet(), cors()) }))
    expect(client.received).toContain('X-Content-Type-Options: nosniff')
  })

  it('neither is morgan when it logs at once', async () => {
    const lines: string[] = []
    const stream = { write: (line: string) => lines.push(line) }
    await opened(await up({ app: behind(morgan('tiny', { immediate: true, stream })) }))
    expect(lines).toHaveLength(1)
  })

  it('morgan keeps the response, and logs its end', async () => {
    const lines: string[] = []
    const on = await up({ app: behind(morgan('tiny', { stream: { write: (line) => lines.push(line) } })) })
    const { sse, client } = await kept(on)
    sse.close('shutdown')
    await client.closed
    await vi.waitFor(() => expect(lines).toEqual([expect.stringContaining('GET / 200')]), SOON)
  })

  it('express-session keeps it, and saves at its end', async () => {
    const store = new session.MemoryStore()
    const save = vi.spyOn(store as { set(...args: unknown[]): void }, 'set')
    const on = await up({
      app: behind(session({ secret: 's', resave: false, saveUninitialized: true, store })),
    })
    const { sse, client } = await kept(on)
    expect(client.received).toContain('connect.sid=')
    sse.close('shutdown')
    await client.closed
    expect(save).toHaveBeenCalled()
  })

  it('compression keeps it', async () => {
    const on = await up({ app: behind(compression({ threshold: 0 })) })
    const { sse, client } = await kept(on)
    sse.send('a')
    await client.until('data: a\n\n')
  })

  it('a response of a mounted application is let go, too', async () => {
    const on = await up({ app: (handler) => make().use('/', make().use(handler as never)) as unknown as Listener })
    const { sse, client, res } = await opened(on)
    res.write('data: a\n\n')
    sse.close()
    await client.closed
    expect(client.received).toMatch(/data: a\n\n\r\n0\r\n\r\n$/)
  })

  it('a handler that passes on late, or with an error, ends the connection as ever', async () => {
    let next: ((error?: unknown) => void) | undefined
    const on = await up({
      app: (handler) =>
        make()
          .set('env', 'test')
          .use((req, res, pass) => {
            next = pass
            handler(req, res as ServerResponse)
          }) as unknown as Listener,
    })
    const { sse, client } = await opened(on)
    next!(new Error('late'))
    expect(await sse.closed).toBe('client')
    await client.closed
  })
})

it('works over TLS', async () => {
  const streams: [EventStream, Socket, ServerResponse][] = []
  const server = createHttpsServer({ key, cert }, (req, res) => {
    streams.push([eventStream(req, res, { letGo: true }).open(), req.socket, res])
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const ends: ((sse: EventStream, request: ReturnType<typeof httpsRequest>, res: ServerResponse) => unknown)[] = [
    (sse) => sse.close(),
    (_, request) => request.destroy(),
    (_, __, res) => res.end(),
  ]
  for (const end of ends) {
    const request = httpsRequest({ port, host: '127.0.0.1', rejectUnauthorized: false, agent: false }).end()
    request.on('error', () => {})
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    const [sse, socket, res] = streams.at(-1)!
    await vi.waitUntil(() => isLetGo(socket), SOON)
    let text = ''
    const closed = new Promise((resolve) => response.on('close', resolve))
    response
      .setEncoding('utf8')
      .on('data', (more) => (text += more))
      .on('error', () => {})
    sse.send('x'.repeat(1_000_000))
    await vi.waitUntil(() => text.length > 1_000_000, SOON)
    end(sse, request, res)
    await closed
    await sse.closed
    await vi.waitUntil(() => socket.destroyed, SOON)
  }
  await new Promise((resolve) => server.close(resolve))
})

it('leaves upgrades of the same server alone', async () => {
  const on = await up()
  on.server.on('upgrade', (_req, socket: Socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n')
    socket.on('data', (bytes) => socket.write(bytes))
  })
  const { sse, client } = await opened(on)
  using other = await RawClient.connect(on.port)
  other.request('GET /', 'Connection: Upgrade', 'Upgrade: echo')
  await other.until('101 Switching Protocols')
  other.socket.write('hello')
  await other.until('hello')
  sse.send('a')
  await client.until('data: a\n\n')
  using third = await RawClient.connect(on.port)
  third.request('GET /plain')
  await third.until('plain')
})
