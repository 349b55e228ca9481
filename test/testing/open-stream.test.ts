import { createServer, type RequestListener, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { describe, expect, it, vi } from 'vitest'
import { ChannelHub } from '../../src/index.ts'
import { openStream } from '../../src/testing/index.ts'

const HEAD = { 'Content-Type': 'text/event-stream' }

/** An app that answers each request with the next of these texts and leaves the response open. */
function streamOf(
  ...texts: string[]
): RequestListener & { requests: Record<string, unknown>[]; last?: ServerResponse } {
  const requests: Record<string, unknown>[] = []
  const app = Object.assign(
    ((req, res) => {
      requests.push(req.headers)
      app.last = res
      res.writeHead(200, HEAD).flushHeaders()
      res.write(texts.shift() ?? ':\n')
    }) as RequestListener,
    { requests },
  ) as RequestListener & { requests: Record<string, unknown>[]; last?: ServerResponse }
  return app
}

describe('openStream', () => {
  it('reads events, comments and the reconnection time', async () => {
    await using s = await openStream(
      streamOf(': hi\nretry: 1234\nid: 1\nevent: tick\ndata: {"n":1}\n\ndata: a\ndata: b\n\nid: 2\n\n'),
      '/',
    )
    expect(s.status).toBe(200)
    expect(s.headers['content-type']).toBe('text/event-stream')
    const tick = await s.next()
    expect(tick).toMatchObject({ event: 'tick', id: '1', data: '{"n":1}' })
    expect(tick.json()).toEqual({ n: 1 })
    expect(await s.next()).toMatchObject({ event: 'message', id: undefined, data: 'a\nb' })
    expect(s.comments).toEqual(['hi'])
    expect(s.reconnectionTimeMs).toBe(1234)
    // The block that has an ID and no data does not count.
    expect(s.lastEventId).toBe('1')
    expect(s.text()).toContain('retry: 1234\n')
  })

  it('keeps the last event ID over events without one, and sends it when it reconnects', async () => {
    const app = streamOf('id: é1\ndata: a\n\ndata: b\n\n', 'data: c\n\n')
    await using s = await openStream(app, '/')
    await s.next()
    await s.next()
    expect(await s.reconnect()).toBe(s)
    expect((await s.next()).data).toBe('c')
    expect(app.requests.map((headers) => headers['last-event-id'])).toEqual([
      undefined,
      Buffer.from('é1').toString('latin1'),
    ])
    expect(s.text()).toBe('data: c\n\n')
  })

  it('keeps received events when the connection is cut, then rejects', async () => {
    const app = streamOf('data: a\n\ndata: b\n\n')
    await using s = await openStream(app, '/')
    await s.next()
    const closed = new Promise((resolve) => app.last!.once('close', () => resolve(app.last!.writableFinished)))
    s.drop()
    s.drop()
    await s.ended
    expect(await closed).toBe(false)
    expect((await s.next()).data).toBe('b')
    await expect(s.next()).rejects.toThrow('The stream has ended.')
  })

  it('rejects waiting calls when the server ends the stream', async () => {
    const app = streamOf('data: a\n\n')
    await using s = await openStream(app, '/')
    await s.next()
    const next = s.next()
    app.last!.end()
    await expect(next).rejects.toThrow(/The stream has ended\..*Status 200.*data: a/)
    await s.ended
  })

  it('drops events of other types, those that are here and those that come', async () => {
    const app = streamOf('event: x\ndata: 1\n\nevent: y\ndata: 2\n\n')
    await using s = await openStream(app, '/')
    expect((await s.next({ type: 'y' })).data).toBe('2')
    const y = s.next({ type: 'y' })
    const any = s.next()
    app.last!.write('event: x\ndata: 3\n\nevent: x\ndata: 4\n\nevent: y\ndata: 5\n\n')
    expect([(await any).data, (await y).data]).toEqual(['3', '5'])
  })

  it('rejects when no event comes in time', async () => {
    await using s = await openStream(streamOf(), '/', { timeoutMs: 1_000 })
    await expect(s.next({ timeoutMs: 5 })).rejects.toThrow(
      'No event came within 5 ms. Status 200, received last: ":\\n"',
    )
    await expect(s.next({ type: 'x', timeoutMs: 5 })).rejects.toThrow('No event x came within 5 ms.')
  })

  it('decodes characters and events that arrive in pieces', async () => {
    const app = streamOf('data: ')
    await using s = await openStream(app, '/')
    const next = s.next()
    for (const byte of Buffer.from('€😀\n\n')) {
      app.last!.write(Buffer.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect((await next).data).toBe('€😀')
  })

  it('takes an Express app, a method, a body and headers', async () => {
    const app = express()
    app.post('/answer', express.json(), (req, res) => {
      res.writeHead(200, HEAD)
      res.end(
        `data: ${JSON.stringify({ body: req.body, accept: req.headers.accept ?? null, many: req.headers['x-a'] })}\n\n`,
      )
    })
    await using s = await openStream(app, '/answer', {
      body: '{"a":1}',
      headers: { 'Content-Type': 'application/json', Accept: undefined, 'X-A': ['1', '2'] },
    })
    expect((await s.next()).json()).toEqual({ body: { a: 1 }, accept: null, many: '1, 2' })
  })

  it('takes a base URL and leaves that server alone', async () => {
    const server = createServer((req, res) => res.writeHead(200, HEAD).end(`data: ${req.method} ${req.url}\n\n`))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    for (const url of [base, new URL(base)]) {
      await using s = await openStream(url, '/a?b=1', { method: 'PUT', lastEventId: 'x' })
      expect((await s.next()).data).toBe('PUT /a?b=1')
      expect(s.lastEventId).toBe('x')
    }
    expect(server.listening).toBe(true)
    await new Promise((resolve) => server.close(resolve))
  })

  it('shows a refusal with its whole body, as nothing to wait for', async () => {
    await using s = await openStream((_req, res) => {
      res.writeHead(403, { 'Content-Type': 'application/problem+json' })
      res.write('{"code":')
      setImmediate(() => res.end('"NO"}'))
    }, '/')
    expect([s.status, s.text()]).toEqual([403, '{"code":"NO"}'])
    await expect(s.next()).rejects.toThrow('The stream has ended. Status 403')
  })

  it('does not take another type for an event stream', async () => {
    await using s = await openStream((_req, res) => {
      res.writeHead(200, { 'Content-Type': 'text/event-streamx' }).end('data: a\n\n')
    }, '/')
    await expect(s.next()).rejects.toThrow('The stream has ended.')
    await using none = await openStream((_req, res) => res.end(), '/')
    await expect(none.next()).rejects.toThrow('Nothing was received, status 200.')
  })

  it('rejects without an answer, with an endless answer, and without a server', async () => {
    await expect(openStream(() => {}, '/late', { timeoutMs: 30 })).rejects.toThrow(
      'GET /late was not answered within 30 ms.',
    )
    await expect(
      openStream((_req, res) => void res.writeHead(500).write('…'), '/half', { timeoutMs: 50 }),
    ).rejects.toThrow('GET /half was not answered within 50 ms.')
    await expect(openStream((req) => req.socket.destroy(), '/')).rejects.toThrow('socket hang up')
    await expect(openStream('http://127.0.0.1:1', '/')).rejects.toThrow('ECONNREFUSED')
  })

  it('rejects a reconnect that fails, and the events that were awaited', async () => {
    const server = createServer((_req, res) => void res.writeHead(200, HEAD).write('data: a\n\n'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    await using s = await openStream(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, '/')
    server.closeAllConnections()
    server.close()
    await expect(s.reconnect()).rejects.toThrow('ECONNREFUSED')
    expect((await s.next()).data).toBe('a')
    await expect(s.next()).rejects.toThrow('Nothing was received, status 0.')
  })

  it('refuses an invalid request, and closes the server it made', async () => {
    await expect(openStream('nonsense', '/')).rejects.toThrow('Invalid URL')
    await expect(openStream('https://localhost', '/')).rejects.toThrow('Protocol "https:" not supported')
    await expect(openStream(() => {}, 'http://[')).rejects.toThrow('Invalid URL')
    await expect(openStream(() => {}, '/', { headers: { A: 'a\nb' } })).rejects.toThrow('Invalid character')
  })
})

describe('under fake timers', () => {
  it('works, with a hub as well', async () => {
    const app = express()
    const hub = new ChannelHub()
    app.use('/channels', hub.router({ channels: ['a'] }))
    vi.useFakeTimers()
    try {
      const stream = await openStream(app, '/channels/a')
      expect((await stream.next()).event).toBe('hub.open')
      await hub.publish('a', 1)
      expect((await stream.next()).data).toBe('1')
      await stream[Symbol.asyncDispose]()
    } finally {
      vi.useRealTimers()
    }
    await hub.close()
  })
})
