import { describe, expect, it } from 'vitest'
import { Frame } from '../../src/protocol/frame.ts'
import { eventStream } from '../../src/stream/http-event-stream.ts'
import type { SendOptions } from '../../src/stream/send.ts'
import { manualClock } from '../../src/testing/index.ts'
import { exchange, SERVERS } from '../support/exchange.ts'

const withCode = (code: string) => expect.objectContaining({ code })
const once = (emitter: NodeJS.EventEmitter, event: string) => new Promise((resolve) => emitter.once(event, resolve))

describe.each(SERVERS)('EventStream behind %s', (_, app) => {
  it('sends nothing until it is used, so that a route can answer something else', async () => {
    await using x = await exchange({ app })
    expect(x.sse.state).toBe('idle')
    expect(x.res.headersSent).toBe(false)
    x.res.statusCode = 403
    x.res.end('no')
    expect(x.sse.state).toBe('closed')
    expect(await x.sse.closed).toBe('server')
    const client = await x.client
    expect([client.status, client.text()]).toEqual([403, 'no'])
    expect(client.headers).not.toHaveProperty('x-accel-buffering')
  })

  it('is open from open() on, and sends one short line at once', async () => {
    await using x = await exchange({ app })
    expect(x.sse.open()).toBe(x.sse)
    expect(x.sse.open()).toBe(x.sse)
    expect(x.sse.state).toBe('open')
    const client = await x.client
    x.sse.send('a')
    await client.next()
    expect(client.text()).toBe(':\ndata: a\n\n')
  })

  it('asks for a reconnection time between retryMs and twice that, when it is set', async () => {
    await using x = await exchange({ app, sse: { retryMs: 1_000 } })
    x.sse.open().send('a')
    const client = await x.client
    await client.next()
    expect(client.text()).toMatch(/^retry: \d+\ndata: a\n\n$/)
    expect(client.reconnectionTimeMs).toBeGreaterThanOrEqual(1_000)
    expect(client.reconnectionTimeMs).toBeLessThan(2_000)
  })

  it('sends events with every field, comments and reconnection times, and opens on its own', async () => {
    await using x = await exchange({ app, headers: { Accept: 'text/html' } })
    expect(x.sse.send({ a: 1 }, { event: 'tick', id: '7', retry: 1_234 })).toBe(true)
    expect(x.sse.comment('one\ntwo')).toBe(true)
    expect(x.sse.comment()).toBe(true)
    expect(x.sse.retry(4_321)).toBe(true)
    expect(x.sse.send('a\r\nb\rc\n')).toBe(true)
    expect(x.sse.send(5, { event: undefined, id: undefined, retry: undefined, encoding: undefined })).toBe(true)
    const client = await x.client
    expect(await client.next()).toMatchObject({ event: 'tick', id: '7', data: '{"a":1}' })
    expect(await client.next()).toMatchObject({ event: 'message', id: undefined, data: 'a\nb\nc\n' })
    expect(await client.next()).toMatchObject({ data: '5' })
    expect(client.text()).toBe(
      ':\nretry: 1234\nid: 7\nevent: tick\ndata: {"a":1}\n\n: one\n: two\n:\nretry: 4321\ndata: a\ndata: b\ndata: c\ndata: \n\ndata: 5\n\n',
    )
  })

  it('fires the signal and settles the promise when the client leaves, and releases everything', async () => {
    const clock = manualClock()
    await using x = await exchange({ app, sse: { clock, maxLifetimeMs: 60_000 } })
    const listeners = x.res.listenerCount('close')
    const { signal, closed } = x.sse
    x.sse.open()
    expect(clock.pendingTimers).toBe(2)
    ;(await x.client).drop()
    expect(await closed).toBe('client')
    expect(signal.aborted).toBe(true)
    expect(signal.reason).toMatchObject({ name: 'AbortError', cause: 'client' })
    expect(x.sse.state).toBe('closed')
    expect(clock.pendingTimers).toBe(0)
    expect(x.res.listenerCount('close')).toBeLessThan(listeners)
    expect(x.sse.send('late')).toBe(false)
  })

  it('ends with close(), and the connection with it only for a shutdown', async () => {
    await using x = await exchange({ app })
    x.sse.send('a')
    x.sse.close()
    x.sse.close('error')
    expect(x.sse.state).toBe('closed')
    expect(await x.sse.closed).toBe('server')
    const client = await x.client
    expect((await client.next()).data).toBe('a')
    await client.ended
    expect(client.text()).toBe(':\ndata: a\n\n')
  })

  it('answers HEAD with the head, and is closed', async () => {
    await using x = await exchange({ app, method: 'HEAD' })
    expect(x.sse.open().state).toBe('closed')
    expect(x.sse.send('a')).toBe(false)
    expect(await x.sse.closed).toBe('server')
    const client = await x.client
    expect(client.status).toBe(200)
    expect(client.headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
    await client.ended
    expect(client.text()).toBe('')
  })

  it('refuses with 406 from open() alone', async () => {
    await using x = await exchange({ app, headers: { Accept: 'application/json' } })
    expect(x.sse.accepted).toBe(false)
    expect(() => x.sse.open()).toThrow(expect.objectContaining({ code: 'ERR_SSE_NOT_ACCEPTABLE', status: 406 }))
    expect([x.sse.state, x.res.headersSent]).toEqual(['idle', false])
    expect(x.sse.send('a')).toBe(true)
    expect(x.sse.open().state).toBe('open')
    expect((await (await x.client).next()).data).toBe('a')
  })
})

describe('send', () => {
  const cycle: unknown[] = []
  cycle.push(cycle)

  it.each<[string, unknown, SendOptions, string]>([
    ['undefined', undefined, {}, 'undefined'],
    ['a BigInt', 1n, {}, 'BigInt'],
    ['a BigInt inside', { id: 1n }, { event: 'a', id: '1' }, 'BigInt'],
    ['a cycle', cycle, {}, 'circular'],
    ['a Map', new Map(), {}, 'Map'],
    ['a Set', new Set(), {}, 'Set'],
    ['a function', () => {}, {}, 'function'],
    ['a symbol', Symbol('x'), {}, 'symbol'],
    ['bytes without an encoding', Buffer.from('x'), {}, 'base64'],
    ['an ArrayBuffer without an encoding', new ArrayBuffer(1), {}, 'base64'],
    ['text with an encoding', 'x', { encoding: 'base64' }, 'base64'],
    ['an unknown encoding', Buffer.from('x'), { encoding: 'hex' as never }, 'encoding'],
    ['text in place of the options', 'x', 'tick' as never, 'must be an object'],
    ['null in place of the options', 'x', null as never, 'must be an object'],
    ['an option that does not exist', 'x', { type: 'tick' } as never, '`type`'],
    ['a fraction as a reconnection time', 'x', { retry: 1.5 }, 'retry'],
    ['text as a reconnection time', 'x', { retry: '1\ndata: y' as never }, 'retry'],
  ])('throws a TypeError for %s, and nothing is written', async (_, data, options, names) => {
    await using x = await exchange()
    expect(() => x.sse.send(data, options)).toThrow(TypeError)
    expect(() => x.sse.send(data, options)).toThrow(names)
    expect([x.sse.state, x.res.headersSent]).toEqual(['idle', false])
    x.sse.open()
    expect(() => x.sse.send(data, options)).toThrow(TypeError)
    x.sse.send('next')
    const client = await x.client
    await client.next()
    expect(client.text()).toBe(':\ndata: next\n\n')
  })

  it.each<[string, SendOptions, string]>([
    ['LF in the type', { event: 'a\ndata: x' }, 'ERR_SSE_EVENT_TYPE'],
    ['CR in the type', { event: 'a\rdata: x' }, 'ERR_SSE_EVENT_TYPE'],
    ['NUL in the type', { event: 'a\0' }, 'ERR_SSE_EVENT_TYPE'],
    ['half a surrogate pair in the type', { event: 'a\ud83d' }, 'ERR_SSE_EVENT_TYPE'],
    ['an empty type', { event: '' }, 'ERR_SSE_EVENT_TYPE'],
    ['the type open', { event: 'open' }, 'ERR_SSE_EVENT_TYPE'],
    ['the type error', { event: 'error' }, 'ERR_SSE_EVENT_TYPE'],
    ['a type of the hub', { event: 'hub.gap' }, 'ERR_SSE_EVENT_TYPE'],
    ['LF in the ID', { id: '1\n\ndata: x' }, 'ERR_SSE_EVENT_ID'],
    ['CR in the ID', { id: '1\rdata: x' }, 'ERR_SSE_EVENT_ID'],
    ['NUL in the ID', { id: '1\0' }, 'ERR_SSE_EVENT_ID'],
    ['an empty ID', { id: '' }, 'ERR_SSE_EVENT_ID'],
    ['an ID beyond ASCII', { id: 'é' }, 'ERR_SSE_EVENT_ID'],
    ['a number as the ID', { id: 5 as never }, 'ERR_SSE_EVENT_ID'],
  ])('refuses %s, and nothing is written', async (_, options, code) => {
    await using x = await exchange()
    expect(() => x.sse.send('x', { event: 'ok', id: '1', retry: 1_000, ...options })).toThrow(withCode(code))
    expect([x.sse.state, x.res.headersSent]).toEqual(['idle', false])
    x.sse.send('next')
    const client = await x.client
    await client.next()
    expect(client.text()).toBe(':\ndata: next\n\n')
  })

  it('sends bytes as base64 when asked', async () => {
    await using x = await exchange()
    const bytes = Uint8Array.of(9, 0, 255, 128, 9)
    x.sse.send(bytes.subarray(1, 4), { encoding: 'base64' })
    x.sse.send(bytes.buffer.slice(1, 4), { encoding: 'base64' })
    x.sse.send(new DataView(bytes.buffer, 1, 3), { encoding: 'base64' })
    const client = await x.client
    for (let i = 0; i < 3; i++) {
      expect(Buffer.from((await client.next()).data, 'base64')).toEqual(Buffer.of(0, 255, 128))
    }
  })

  it('keeps an injected line inside comments', async () => {
    await using x = await exchange()
    x.sse.comment('a\r\rdata: evil\n\nevent: evil\r\ndata: evil\n\n')
    x.sse.send('good')
    const client = await x.client
    expect((await client.next()).data).toBe('good')
    expect(client.comments).toContain('data: evil')
  })

  it.each([1.5, Number.NaN, '1000\ndata: x', null, undefined])(
    'refuses retry(%j), and nothing is written',
    async (ms) => {
      await using x = await exchange()
      expect(() => x.sse.retry(ms as number)).toThrow(TypeError)
      expect(x.res.headersSent).toBe(false)
    },
  )

  it('clamps reconnection times', async () => {
    await using x = await exchange()
    x.sse.retry(0)
    x.sse.retry(2 ** 40)
    x.sse.send('a')
    const client = await x.client
    await client.next()
    expect(client.text()).toBe(':\nretry: 500\nretry: 3600000\ndata: a\n\n')
  })
})

describe('a response that other code answers', () => {
  it('throws ERR_SSE_HEADERS_SENT while another answer is in progress, and does not change it', async () => {
    await using x = await exchange()
    x.res.writeHead(200, { 'Content-Type': 'text/plain' })
    x.res.write('a')
    for (const use of [
      () => x.sse.open(),
      () => x.sse.send('x'),
      () => x.sse.comment(),
      () => x.sse.retry(1_000),
      () => x.sse.finish(),
      () => x.stream.commit(),
    ]) {
      expect(use).toThrow(expect.objectContaining({ code: 'ERR_SSE_HEADERS_SENT', status: 500 }))
    }
    await expect(x.sse.stream(['x'])).rejects.toThrow(withCode('ERR_SSE_HEADERS_SENT'))
    x.sse.close()
    expect(x.sse.state).toBe('idle')
    x.res.end('b')
    expect((await x.client).text()).toBe('ab')
    expect(await x.sse.closed).toBe('server')
  })

  it('never throws once it has ended', async () => {
    await using x = await exchange()
    x.res.end('plain')
    expect(x.sse.open()).toBe(x.sse)
    expect([x.sse.send('x'), x.sse.comment(), x.sse.retry(1_000), x.stream.commit()]).toEqual([
      false,
      false,
      false,
      false,
    ])
    expect(x.sse.send(undefined)).toBe(false)
    x.sse.close()
    x.sse.finish()
    await x.sse.drained()
    expect(await x.sse.closed).toBe('server')
    expect((await x.client).text()).toBe('plain')
  })

  it('is closed as by the server when other code ends the open response', async () => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock } })
    const { closed } = x.sse
    x.sse.send('a')
    x.res.end()
    expect(x.sse.state).toBe('closed')
    expect(x.sse.send('b')).toBe(false)
    expect(x.stream.write(Frame.of(':\n'))).toBe(false)
    clock.advance(15_000)
    x.sse.finish()
    expect(await closed).toBe('server')
    const client = await x.client
    await client.ended
    expect(client.text()).toBe(':\ndata: a\n\n')
  })

  it('is closed as by the client when that leaves before the answer has ended, else as by the server', async () => {
    await using x = await exchange()
    x.res.writeHead(200).write('a')
    x.req.socket.destroy()
    expect(await x.sse.closed).toBe('client')
    await using y = await exchange()
    y.req.socket.cork()
    y.res.end('x'.repeat(500_000))
    y.req.socket.destroy()
    expect(await y.sse.closed).toBe('server')
  })

  it('leaves a response alone that close() finds ended', async () => {
    await using x = await exchange()
    x.sse.open()
    x.res.end()
    x.sse.close('expired')
    expect(await x.sse.closed).toBe('expired')
    await (await x.client).ended
  })
})

describe('a client that left before the stream was used', () => {
  it('is noticed during an await', async () => {
    await using x = await exchange({ timeoutMs: 60 })
    await expect(x.client).rejects.toThrow('not answered')
    if (!x.res.closed) await once(x.res, 'close')
    expect(x.sse.state).toBe('closed')
    expect(x.sse.open().send('a')).toBe(false)
    expect(await x.sse.closed).toBe('client')
    expect(await x.sse.stream(['a'])).toEqual({ sent: 0, reason: 'closed' })
    expect(x.res.headersSent).toBe(false)
  })

  it('is noticed when the stream is made after it has left', async () => {
    await using x = await exchange({ timeoutMs: 60 })
    await x.client.catch(() => {})
    if (!x.res.closed) await once(x.res, 'close')
    const late = eventStream(x.req, x.res)
    expect(late.state).toBe('closed')
    expect(late.signal.aborted).toBe(true)
    expect(late.signal.reason.cause).toBe('client')
    expect(await late.closed).toBe('client')
    expect(x.res.listenerCount('close')).toBe(0)
  })

  it('is distinguished from a response that was answered', async () => {
    await using x = await exchange()
    x.res.end()
    await (await x.client).ended
    if (!x.res.closed) await once(x.res, 'close')
    expect(await eventStream(x.req, x.res).closed).toBe('server')
  })
})

describe('signal and closed', () => {
  it('are the same each time, and also report an earlier end', async () => {
    await using x = await exchange()
    const { signal, closed } = x.sse
    expect([x.sse.signal, x.sse.closed]).toEqual([signal, closed])
    expect(x.sse.signal).toBe(signal)
    x.sse.close('revoked')
    expect(signal.reason).toMatchObject({ name: 'AbortError', cause: 'revoked' })
    expect(signal.reason).toBeInstanceOf(DOMException)
    expect(await closed).toBe('revoked')
  })

  it.each(['client', 'server', 'slow', 'expired', 'revoked', 'shutdown', 'error'] as const)(
    'carry the reason %s',
    async (reason) => {
      await using x = await exchange()
      x.sse.open().close(reason)
      expect(await x.sse.closed).toBe(reason)
      expect(x.sse.signal.reason.cause).toBe(reason)
      await (await x.client).ended
    },
  )
})

describe('close', () => {
  it('opens an idle stream first, so that the client gets an answer', async () => {
    await using x = await exchange()
    x.sse.close()
    const client = await x.client
    await client.ended
    expect([client.status, client.text()]).toEqual([200, ':\n'])
  })

  it('answers a HEAD request and a client that received hub.finished, like any first use', async () => {
    await using head = await exchange({ method: 'HEAD' })
    head.sse.close('expired')
    expect((await head.client).status).toBe(200)
    await using finished = await exchange({ lastEventId: 'hub.finished' })
    finished.sse.close('expired')
    expect((await finished.client).status).toBe(204)
  })

  it('cuts a peer that does not read the rest, after a while', async () => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock } })
    x.sse.open()
    const { socket } = x.req
    await x.client
    // More than the kernel takes for a peer that does not read.
    x.sse.send('x'.repeat(40_000_000))
    x.sse.close()
    expect(x.sse.bufferedBytes).toBeGreaterThan(0)
    expect(clock.pendingTimers).toBe(1)
    clock.advance(5_000)
    expect(socket.destroyed).toBe(true)
  })

  it('takes back the timer for that when the peer has read everything', async () => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock } })
    x.sse.send('x'.repeat(5_000_000))
    x.sse.close()
    expect(clock.pendingTimers).toBe(1)
    const client = await x.client
    expect((await client.next()).data.length).toBe(5_000_000)
    await client.ended
    if (!x.res.closed) await once(x.res, 'close')
    expect(clock.pendingTimers).toBe(0)
  })
})

describe('finish', () => {
  it('answers 204 before the head, after which no browser reconnects', async () => {
    await using x = await exchange()
    x.res.setHeader('Content-Length', '5')
    x.sse.finish()
    x.sse.finish()
    expect(x.sse.state).toBe('closed')
    expect(await x.sse.closed).toBe('server')
    const client = await x.client
    expect([client.status, client.text()]).toEqual([204, ''])
    expect(client.headers).not.toHaveProperty('content-length')
  })

  it('sends hub.finished after the head, and answers 204 to a client that reconnects', async () => {
    await using x = await exchange()
    x.sse.send('a')
    x.sse.finish()
    expect(x.sse.send('b')).toBe(false)
    const client = await x.client
    await client.next()
    expect(await client.next()).toMatchObject({ event: 'hub.finished', id: 'hub.finished', data: '{}' })
    await client.ended
    expect(client.lastEventId).toBe('hub.finished')
  })

  it.each(['open', 'send', 'comment', 'retry', 'stream', 'close', 'commit'] as const)(
    'is what %s answers to the last event ID hub.finished, whatever is accepted',
    async (method) => {
      await using x = await exchange({ lastEventId: 'hub.finished', headers: { Accept: 'text/html' } })
      if (method === 'open') expect(x.sse.open()).toBe(x.sse)
      else if (method === 'stream') expect(await x.sse.stream(['a'])).toEqual({ sent: 0, reason: 'closed' })
      else if (method === 'close') x.sse.close()
      else if (method === 'retry') expect(x.sse.retry(1_000)).toBe(false)
      else if (method === 'commit') expect(x.stream.commit()).toBe(false)
      else expect(x.sse[method]('a')).toBe(false)
      expect(x.sse.state).toBe('closed')
      expect((await x.client).status).toBe(204)
    },
  )
})

describe('maxLifetimeMs', () => {
  it('ends each stream after a random time between 80 and 100 % of it', async () => {
    const clock = manualClock()
    const ends: number[] = []
    for (let i = 0; i < 20; i++) {
      await using x = await exchange({ sse: { clock, maxLifetimeMs: 1_000, heartbeatIntervalMs: 0 } })
      x.sse.open()
      const start = clock.monotonic()
      clock.advance(799)
      expect(x.sse.state).toBe('open')
      while (x.sse.state === 'open') clock.advance(1)
      ends.push(clock.monotonic() - start)
      expect(await x.sse.closed).toBe('expired')
      await (await x.client).ended
    }
    expect(Math.min(...ends)).toBeGreaterThanOrEqual(800)
    expect(Math.max(...ends)).toBeLessThanOrEqual(1_000)
    expect(new Set(ends).size).toBeGreaterThan(3)
  })

  it('is off by default', async () => {
    const clock = manualClock()
    await using x = await exchange({ sse: { clock, heartbeatIntervalMs: 0 } })
    x.sse.open()
    expect(clock.pendingTimers).toBe(0)
  })
})
