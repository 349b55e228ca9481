import type { IncomingMessage } from 'node:http'
import { describe, expect, it } from 'vitest'
import { acceptsEventStream, lastEventIdOf, namesEventStream, queryOf } from '../../src/stream/handshake.ts'
import { exchange, SERVERS } from '../support/exchange.ts'
import { RawClient } from '../support/raw-client.ts'
import { serve } from '../support/serve.ts'

const request = (headers: Record<string, string>, url = '/') => ({ headers, url }) as unknown as IncomingMessage

describe('acceptsEventStream', () => {
  it.each([
    [undefined, true],
    ['', true],
    [' ', true],
    ['text/event-stream', true],
    ['TEXT/Event-Stream', true],
    ['text/event-stream; charset=utf-8', true],
    ['text/event-stream;q=0.001', true],
    ['text/*', true],
    ['*/*', true],
    ['application/json, text/event-stream', true],
    ['text/html, */*;q=0.1', true],
    ['*/*;q=0, text/event-stream', true],
    ['text/*;q=0, */*', false],
    ['text/event-stream;q=0', false],
    ['text/event-stream;Q=0.000', false],
    ['text/event-stream ; q=0 , */*', false],
    ['text/*, text/event-stream;q=0', false],
    ['*/*;q=0', false],
    ['text/event-stream;q=nonsense', false],
    ['text/html', false],
    ['text/event-streams', false],
    ['application/json', false],
  ])('Accept: %s -> %s', (accept, answer) => {
    expect(acceptsEventStream(request(accept === undefined ? {} : { accept }))).toBe(answer)
  })
})

describe('namesEventStream', () => {
  it.each([
    [undefined, false],
    ['*/*', false],
    ['text/*', false],
    ['text/event-stream;q=0', false],
    ['text/event-stream', true],
    ['text/html, text/event-stream;q=0.5', true],
  ])('Accept: %s -> %s', (accept, answer) => {
    expect(namesEventStream(request(accept === undefined ? {} : { accept }))).toBe(answer)
  })
})

describe('queryOf', () => {
  it('reads the URL as the application routes it', () => {
    expect([...queryOf(request({}, '/a?b=1&b=2'))]).toEqual([
      ['b', '1'],
      ['b', '2'],
    ])
    expect([...queryOf(request({}, '/a'))]).toEqual([])
    expect([...queryOf(Object.assign(request({}, '/?x=1'), { originalUrl: '/mount?x=2' }))]).toEqual([['x', '1']])
    expect([...queryOf({ headers: {} } as IncomingMessage)]).toEqual([])
  })
})

describe('lastEventIdOf', () => {
  it.each([
    ['nothing', {}, '/', ''],
    ['the header', { 'last-event-id': '7' }, '/', '7'],
    ['the query', {}, '/?lastEventId=8', '8'],
    ['the header before the query', { 'last-event-id': '7' }, '/?lastEventId=8', '7'],
    ['the query behind an empty header', { 'last-event-id': '' }, '/?lastEventId=8', '8'],
    ['an empty query', {}, '/?lastEventId=', ''],
    ['an escaped query', {}, '/?lastEventId=a%20b%C3%A9', 'a bé'],
    ['a query given twice, which is not a valid ID', {}, '/?lastEventId=1&lastEventId=2', '1, 2'],
    ['UTF-8 in the header', { 'last-event-id': Buffer.from('é€😀').toString('latin1') }, '/', 'é€😀'],
    ['bytes that are not UTF-8', { 'last-event-id': '\xff' }, '/', '\uFFFD'],
  ])('reads %s', (_, headers, url, id) => {
    expect(lastEventIdOf(request(headers, url))).toBe(id)
  })

  it.each(SERVERS)('reads it from a real request of %s', async (_, app) => {
    await using x = await exchange({ app, path: '/a?lastEventId=no', lastEventId: 'é1' })
    expect(x.sse.lastEventId).toBe('é1')
    await using y = await exchange({ app, path: '/a?lastEventId=8' })
    expect(y.sse.lastEventId).toBe('8')
  })

  it('takes a header that was sent twice as an invalid ID', async () => {
    let seen: string | undefined
    await using server = await serve((req, res) => {
      seen = lastEventIdOf(req)
      res.end('.')
    })
    using client = await RawClient.connect(server.port)
    client.request('GET /', 'Last-Event-ID: 1', 'Last-Event-ID: 2')
    await client.until('.')
    expect(seen).toBe('1, 2')
  })
})

describe('the head', () => {
  it.each(SERVERS)('says what proxies and clients need, behind %s', async (_, app) => {
    await using x = await exchange({ app })
    x.sse.open()
    const { status, headers } = await x.client
    expect(status).toBe(200)
    expect(headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'transfer-encoding': 'chunked',
    })
  })

  it.each(['Cookie', 'Authorization'])('makes the answer private for a request with %s', async (name) => {
    await using x = await exchange({ headers: { [name]: 'a=b' } })
    x.sse.open()
    expect((await x.client).headers['cache-control']).toBe('private, no-cache, no-transform')
  })

  it('keeps cookies, CORS and own headers, and removes headers that are wrong for an endless body', async () => {
    await using x = await exchange()
    x.res.statusCode = 418
    x.res.setHeader('Set-Cookie', ['a=1', 'b=2'])
    x.res.setHeader('Access-Control-Allow-Origin', 'https://a.example')
    x.res.setHeader('X-Own', 'yes')
    x.res.setHeader('Content-Type', 'text/html')
    x.res.setHeader('Content-Length', '5')
    x.res.setHeader('ETag', '"x"')
    x.res.setHeader('Content-Encoding', 'gzip')
    x.sse.send('a')
    const client = await x.client
    expect(client.status).toBe(200)
    expect(client.headers).toMatchObject({
      'set-cookie': ['a=1', 'b=2'],
      'access-control-allow-origin': 'https://a.example',
      'x-own': 'yes',
      'content-type': 'text/event-stream',
    })
    for (const name of ['content-length', 'etag', 'content-encoding']) expect(client.headers).not.toHaveProperty(name)
    expect((await client.next()).data).toBe('a')
  })
})
