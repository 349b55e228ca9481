import { describe, expect, it } from 'vitest'
import { pattern } from '../../src/channel-name.ts'
import type { ChannelHub } from '../../src/index.ts'
import type { OpenStream } from '../../src/testing/index.ts'
import { appWith, ask, expectProblem, flavours, makeHub, open, post, serve } from './support.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const NDJSON = { 'content-type': 'application/x-ndjson' }
const TEXT = { 'content-type': 'text/plain' }
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

describe.each(flavours)('POST, Express $version', (flavour) => {
  const { express, lib } = flavour

  /** A served hub with one subscriber of everything, who hears data as they were published. */
  async function listening(
    options?: Parameters<ChannelHub['router']>[0],
  ): Promise<{ hub: ChannelHub; url: string; s: OpenStream; next: () => Promise<unknown> }> {
    const hub = makeHub(lib)
    const app = appWith(flavour, hub, options)
    app.use(lib.sse())
    app.get('/all', (_req, res) => hub.subscribe(res.sse, pattern('>'), { envelope: true }))
    const url = await serve(app)
    const s = await open(url, '/all')
    await s.next({ type: 'hub.open' })
    return { hub, url, s, next: async () => (await s.next()).json() }
  }

  /** Only `data` has been published: the next event is a new one from here. */
  async function expectNothingPublished(hub: ChannelHub, next: () => Promise<unknown>): Promise<void> {
    await hub.publish('witness', 'nothing before me')
    expect(await next()).toEqual({ channel: 'witness', data: 'nothing before me' })
    expect(hub.stats().published).toBe(1)
  }

  describe('a body', () => {
    const cases: readonly (readonly [type: string, body: string | Buffer, data: unknown])[] = [
      ['application/json', '{"a":1}', { a: 1 }],
      ['application/json', '[1, 2]', [1, 2]],
      ['application/json', '"text"', 'text'],
      ['application/json', '5', 5],
      ['application/json', 'null', null],
      ['application/json', 'false', false],
      ['application/json', ' {"a" : "\\u00e9\\n"}\n', { a: 'é\n' }],
      ['application/json; charset=utf-8', '"é"', 'é'],
      ['application/json;charset="UTF-8"', '1', 1],
      ['APPLICATION/JSON', '1', 1],
      ['application/cloudevents+json', '{"id":"1"}', { id: '1' }],
      ['application/vnd.api+json; charset=utf8', '{}', {}],
      ['text/plain', 'hello', 'hello'],
      ['text/plain', '', ''],
      ['text/plain', '5', '5'],
      ['text/plain', '{"a":1}', '{"a":1}'],
      ['text/plain', ' é\u2028😀\ufeff ', ' é\u2028😀\ufeff '],
      ['text/plain; charset=UTF-8; format=flowed', '\ufeffbom', '\ufeffbom'],
      ['text/plain', 'a\nb\r\nc\rd\n', 'a\nb\nc\nd\n'],
      ['application/x-www-form-urlencoded', 'data=hello+w%C3%B6rld', 'hello wörld'],
      ['application/x-www-form-urlencoded', 'other=1&data=', ''],
      ['application/x-www-form-urlencoded; charset=utf-8', 'data=5', '5'],
    ]

    it.each(cases)('of %s: %j', async (type, body, data) => {
      const { url, s } = await listening()
      const answer = await post(url, '/channels/news', body, { 'content-type': type })
      expect(answer.status).toBe(201)
      const event = await s.next()
      // A stream has one end of line; in an envelope the text is JSON, and nothing is lost.
      const verbatim = type.startsWith('text/plain') ? body : data
      expect(event.json()).toEqual({ channel: 'news', data: verbatim })
    })

    it('loses the kind of its line ends on a plain stream', async () => {
      const { hub } = await listening()
      const url = await serve(appWith(flavour, hub))
      const s = await open(url, '/channels/news')
      await s.next({ type: 'hub.open' })
      await post(url, '/channels/news', 'a\nb\r\nc\rd\n', TEXT)
      expect((await s.next()).data).toBe('a\nb\nc\nd\n')
    })

    it('is answered 201 with the receipt, exactly', async () => {
      const { hub, url, s } = await listening()
      const second = await open(url, '/channels/news')
      await second.next({ type: 'hub.open' })
      const answer = await post(url, '/channels/news', '{}')
      const { id } = await s.next()
      expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
      expect(answer.body).toBe(`{"id":"${id}","channel":"news","duplicate":false,"localSubscribers":2}`)
      expect(JSON.parse((await post(url, '/channels/other', '{}')).body)).toMatchObject({ localSubscribers: 1 })
      expect(hub.stats().published).toBe(2)
    })

    const malformed: readonly (readonly [headers: Record<string, string>, body: string | Buffer, code: string])[] = [
      [JSON_TYPE, '{"a":', 'ERR_SSE_BODY_MALFORMED'],
      [JSON_TYPE, 'hello', 'ERR_SSE_BODY_MALFORMED'],
      [JSON_TYPE, '', 'ERR_SSE_BODY_MALFORMED'],
      [JSON_TYPE, '1 2', 'ERR_SSE_BODY_MALFORMED'],
      [JSON_TYPE, Buffer.from([0x22, 0xff, 0x22]), 'ERR_SSE_BODY_MALFORMED'],
      [TEXT, Buffer.from([0xc3, 0x28]), 'ERR_SSE_BODY_MALFORMED'],
      [FORM, Buffer.from([0x64, 0xff]), 'ERR_SSE_BODY_MALFORMED'],
      [FORM, '', 'ERR_SSE_DATA_MISSING'],
      [FORM, '{"text":"hi"}', 'ERR_SSE_DATA_MISSING'],
      [FORM, 'Data=x', 'ERR_SSE_DATA_MISSING'],
      [FORM, 'data=1&data=2', 'ERR_SSE_DATA_MISSING'],
      [FORM, 'data=1&event=a&event=b', 'ERR_SSE_EVENT_TYPE'],
      [FORM, 'data=1&event=', 'ERR_SSE_EVENT_TYPE'],
      [FORM, 'data=1&event=hub.open', 'ERR_SSE_EVENT_TYPE'],
      [NDJSON, '', 'ERR_SSE_BODY_MALFORMED'],
      [NDJSON, '\n\r\n', 'ERR_SSE_BODY_MALFORMED'],
      [NDJSON, '1\n{\n3', 'ERR_SSE_BODY_MALFORMED'],
      [NDJSON, Buffer.from([0x31, 0x0a, 0xff]), 'ERR_SSE_BODY_MALFORMED'],
    ]

    it.each(malformed)('of %o that is malformed is refused whole', async (headers, body, code) => {
      const { hub, url, next } = await listening()
      expectProblem(await post(url, '/channels/news', body, headers), 400, code)
      await expectNothingPublished(hub, next)
    })

    it('without the field data explains how to send JSON with curl', async () => {
      const { url } = await listening()
      const answer = await post(url, '/channels/news', '{"text":"hi"}', FORM)
      expect(expectProblem(answer, 400, 'ERR_SSE_DATA_MISSING')).toMatch(/curl.*--json/)
    })

    it.each([
      [{ 'content-type': 'application/xml' }],
      [{ 'content-type': 'application/octet-stream' }],
      [{ 'content-type': 'text/html' }],
      [{ 'content-type': 'application/jsonx' }],
      [{ 'content-type': 'multipart/form-data; boundary=x' }],
      [{ 'content-type': '' }],
      [{ 'content-type': 'application/json; charset=latin1' }],
      [{ 'content-type': 'text/plain; charset=utf-16le' }],
      [{ 'content-type': 'text/plain; charset="iso-8859-1"' }],
      [{ ...JSON_TYPE, 'content-encoding': 'gzip' }],
      [{ ...JSON_TYPE, 'content-encoding': 'br' }],
    ] as Record<string, string>[][])('with %o is 415 with Accept-Post', async (headers) => {
      const { hub, url, next } = await listening()
      const answer = await post(url, '/channels/news', '{}', headers)
      const detail = expectProblem(answer, 415, 'ERR_SSE_MEDIA_TYPE')
      expect(answer.headers['accept-post']).toBe(
        'application/json, text/plain, application/x-www-form-urlencoded, application/x-ndjson',
      )
      expect(answer.headers['accept-encoding']).toBe('content-encoding' in headers! ? 'identity' : undefined)
      if (headers!['content-type']!.startsWith('multipart')) expect(detail).toContain('URLSearchParams')
      await expectNothingPublished(hub, next)
    })

    it('may name the encoding identity', async () => {
      const { url } = await listening()
      const answer = await post(url, '/channels/news', '{}', { ...JSON_TYPE, 'content-encoding': 'Identity' })
      expect(answer.status).toBe(201)
    })

    it('without a type is 415, even without a body', async () => {
      const { url } = await listening()
      expectProblem(await ask(url, '/channels/news', { method: 'POST' }), 415, 'ERR_SSE_MEDIA_TYPE')
    })

    it('may come in chunks of any length', async () => {
      const { url, next } = await listening()
      const response = await fetch(`${url}/channels/news`, {
        method: 'POST',
        headers: TEXT,
        duplex: 'half',
        body: new ReadableStream({
          start(controller) {
            for (const byte of Buffer.from('é😀')) controller.enqueue(Uint8Array.of(byte))
            controller.close()
          },
        }),
      })
      expect(response.status).toBe(201)
      expect(await next()).toEqual({ channel: 'news', data: 'é😀' })
    })

    it('over maxBodyBytes is 413, whether it says its length or not', async () => {
      const { hub, url, next } = await listening({ channels: ['>'], publish: 'anyone', maxBodyBytes: 10 })
      expect((await post(url, '/channels/news', '"12345678"')).status).toBe(201)
      expect(await next()).toMatchObject({ data: '12345678' })
      const answer = await post(url, '/channels/news', '"123456789"')
      expect(expectProblem(answer, 413, 'ERR_SSE_BODY_TOO_LARGE')).toContain('10 bytes (maxBodyBytes)')
      const chunked = { ...JSON_TYPE, 'transfer-encoding': 'chunked' }
      expectProblem(await post(url, '/channels/news', '"123456789"', chunked), 413, 'ERR_SSE_BODY_TOO_LARGE')
      expect(hub.stats().published).toBe(1)
    })

    it('has 1 MiB by default, and so has an event', async () => {
      const { hub, url } = await listening()
      const over = await post(url, '/channels/news', 'x'.repeat(1_048_577), TEXT)
      expectProblem(over, 413, 'ERR_SSE_BODY_TOO_LARGE')
      // As large as a body may be, its block is a few bytes more than an event may have.
      const just = await post(url, '/channels/news', 'x'.repeat(1_048_576), TEXT)
      expect(expectProblem(just, 413, 'ERR_SSE_EVENT_TOO_LARGE')).toContain('maxEventBytes')
      // Seven bytes of `data: ` and line feed for every line of one.
      const lines = await post(url, '/channels/news', '\n'.repeat(200_000), TEXT)
      expectProblem(lines, 413, 'ERR_SSE_EVENT_TOO_LARGE')
      expect(hub.stats().published).toBe(0)
      expect((await post(url, '/channels/news', 'x'.repeat(1_048_000), TEXT)).status).toBe(201)
    })
  })

  describe('the event type', () => {
    it.each([
      ['?event=headline', JSON_TYPE, '1'],
      ['?event=headline', TEXT, '1'],
      ['?event=headline', FORM, 'data=1'],
      ['', FORM, 'data=1&event=headline'],
    ])('of %s with %o is sent', async (query, headers, body) => {
      const hub = makeHub(lib)
      const url = await serve(appWith(flavour, hub))
      const s = await open(url, '/channels/news')
      await s.next({ type: 'hub.open' })
      expect((await post(url, `/channels/news${query}`, body, headers)).status).toBe(201)
      expect(await s.next()).toMatchObject({ event: 'headline', data: '1' })
    })

    it('may be any text of one line', async () => {
      const { url, next } = await listening()
      await post(url, `/channels/news?event=${encodeURIComponent('é: x opens')}`, '1')
      expect(await next()).toMatchObject({ event: 'é: x opens' })
    })

    it.each([
      '?event=',
      '?event=open',
      '?event=error',
      '?event=hub.',
      '?event=hub.open',
      '?event=a%0Ab',
      '?event=a%0D',
      '?event=%00',
      '?event=a&event=b',
      '?event=a&event=a',
    ])('%s is refused', async (query) => {
      const { hub, url, next } = await listening()
      expectProblem(await post(url, `/channels/news${query}`, '1'), 400, 'ERR_SSE_EVENT_TYPE')
      await expectNothingPublished(hub, next)
    })

    it('is refused when query and form both give it, even the same', async () => {
      const { url } = await listening()
      const answer = await post(url, '/channels/news?event=a', 'data=1&event=a', FORM)
      expect(expectProblem(answer, 400, 'ERR_SSE_EVENT_TYPE')).toContain('twice')
    })
  })

  describe('?conflationKey=', () => {
    it('conflates for a client that reconnects, not for a live one', async () => {
      const { hub, url, s } = await listening()
      const { id } = await hub.publish('price', 0)
      await s.next()
      for (const n of [1, 2, 3])
        await post(url, `/channels/price?conflationKey=${n === 2 ? 'other' : 'eur'}`, String(n))
      for (const n of [1, 2, 3]) expect((await s.next()).json()).toEqual({ channel: 'price', data: n })
      const back = await open(url, '/channels/price', { lastEventId: id })
      await back.next({ type: 'hub.open' })
      expect((await back.next()).data).toBe('2')
      expect((await back.next()).data).toBe('3')
      expect(hub.stats().gaps.trimmed).toBe(0)
    })

    it.each(['?conflationKey=', `?conflationKey=${'k'.repeat(201)}`, '?conflationKey=a&conflationKey=b'])(
      '%s is refused',
      async (query) => {
        const { url } = await listening()
        expectProblem(await post(url, `/channels/news${query}`, '1'), 400, 'ERR_SSE_CONFLATION_KEY')
      },
    )
  })

  describe('application/x-ndjson', () => {
    it('is a batch, in order, answered as one', async () => {
      const { url, s } = await listening()
      const answer = await post(url, '/channels/news?event=line', '1\r\n\n{"two":2}\n"three"', NDJSON)
      expect(answer.status).toBe(201)
      const events = [await s.next(), await s.next(), await s.next()]
      expect(events.map((event) => event.json())).toEqual([
        { channel: 'news', event: 'line', data: 1 },
        { channel: 'news', event: 'line', data: { two: 2 } },
        { channel: 'news', event: 'line', data: 'three' },
      ])
      const ids = events.map(({ id }) => id)
      expect(answer.body).toBe(
        JSON.stringify({ ids, channel: 'news', duplicates: [false, false, false], localSubscribers: 1 }),
      )
    })

    it('of one line is still answered as a batch', async () => {
      const { url } = await listening()
      expect(JSON.parse((await post(url, '/channels/news', '1', NDJSON)).body)).toEqual({
        ids: [expect.any(String)],
        channel: 'news',
        duplicates: [false],
        localSubscribers: 1,
      })
    })

    it('names the line that is malformed, and publishes nothing', async () => {
      const { hub, url, next } = await listening()
      const detail = expectProblem(await post(url, '/channels/news', '1\n2\nx', NDJSON), 400, 'ERR_SSE_BODY_MALFORMED')
      expect(detail).toContain('Line 3')
      await expectNothingPublished(hub, next)
    })

    it('has at most 1,000 events and 1 MiB', async () => {
      const { hub, url } = await listening()
      const line = `"${'x'.repeat(1_000)}"\n`
      expectProblem(await post(url, '/channels/news', '1\n'.repeat(1_001), NDJSON), 413, 'ERR_SSE_BATCH_TOO_LARGE')
      // Escapes are longer than their characters, so the body is too large before the event, unless its limit is higher.
      const app = appWith(flavour, hub, { channels: ['>'], publish: 'anyone', maxBodyBytes: 4_000_000 })
      const large = await post(await serve(app), '/channels/news', line.repeat(1_050), NDJSON)
      expectProblem(large, 413, 'ERR_SSE_BATCH_TOO_LARGE')
      const bytes = await post(await serve(app), '/channels/news', `"${'x'.repeat(1_045)}"\n`.repeat(1_000), NDJSON)
      expectProblem(bytes, 413, 'ERR_SSE_BATCH_TOO_LARGE')
      expect(hub.stats().published).toBe(0)
      expect((await post(url, '/channels/news', '1\n'.repeat(1_000), NDJSON)).status).toBe(201)
    })

    it('is named as a whole by its key', async () => {
      const { hub, url } = await listening()
      const key = { ...NDJSON, 'idempotency-key': 'k' }
      const first = await post(url, '/channels/news', '1\n2', key)
      expect(first.status).toBe(201)
      const { ids } = JSON.parse(first.body)
      const again = await post(url, '/channels/news', '1\n2\n', key)
      expect(again.status).toBe(200)
      expect(JSON.parse(again.body)).toEqual({ ids, channel: 'news', duplicates: [true, true], localSubscribers: 0 })
      // The key names the whole batch: a line more, less or other is another payload, and nothing of it is published.
      for (const other of ['1\n2\n3', '1', '2', '1\n3', '2\n1']) {
        expectProblem(await post(url, '/channels/news', other, key), 422, 'ERR_SSE_IDEMPOTENCY_MISMATCH')
      }
      // The key of the batch differs from the keys of its lines, which no header can contain.
      expect((await post(url, '/channels/news', '1', { ...JSON_TYPE, 'idempotency-key': 'k' })).status).toBe(201)
      expect(hub.stats().published).toBe(3)
    })
  })

  describe('Idempotency-Key', () => {
    it('makes of a repeat 200 with the first receipt', async () => {
      const { hub, url, next } = await listening()
      const key = { 'idempotency-key': '"a1"' }
      const first = await post(url, '/channels/news', '{"n": 1}', key)
      expect(first.status).toBe(201)
      const { id } = JSON.parse(first.body)
      const again = await post(url, '/channels/news', '{"n":1}', key)
      expect(again.status).toBe(200)
      expect(again.body).toBe(`{"id":"${id}","channel":"news","duplicate":true,"localSubscribers":0}`)
      expect(await next()).toEqual({ channel: 'news', data: { n: 1 } })
      // Elsewhere it is another key.
      expect((await post(url, '/channels/sport', '{"n":1}', key)).status).toBe(201)
      expect(hub.stats().published).toBe(2)
    })

    it.each([
      ['"a1"', 'a1'],
      ['a1', '"a1"'],
      ['"a\\"b\\\\c"', 'a"b\\c'],
      ['  spaced  ', '"spaced"'],
      ['550e8400-e29b-41d4-a716-446655440000', '"550e8400-e29b-41d4-a716-446655440000"'],
      ['"with space"', 'with space'],
      ['~', '"~"'],
      ['x'.repeat(200), `"${'x'.repeat(200)}"`],
    ])('%s is the same as %s', async (a, b) => {
      const { url } = await listening()
      expect((await post(url, '/channels/news', '1', { 'idempotency-key': a })).status).toBe(201)
      expect((await post(url, '/channels/news', '1', { 'idempotency-key': b })).status).toBe(200)
    })

    it('is another key than the same text in code', async () => {
      const { hub, url } = await listening()
      // A visitor can neither repeat nor block events that the application publishes with its own keys.
      await hub.publish('news', { a: 1 }, { idempotencyKey: 'a1' })
      for (const data of ['{"a":1}', '{"a":2}']) {
        const answer = await post(url, `/channels/news`, data, {
          'idempotency-key': `"a1"`,
          'content-type': JSON_TYPE['content-type'],
        })
        expect(answer.status).toBe(data === '{"a":1}' ? 201 : 422)
      }
      expect(await hub.publish('news', { a: 1 }, { idempotencyKey: 'a1' })).toMatchObject({ duplicate: true })
    })

    it.each([
      '',
      '""',
      '"',
      '"open',
      '"a"b',
      '"a", "b"',
      '"a\\n"',
      'x'.repeat(201),
      `"${'x'.repeat(201)}"`,
      'é',
      'a\tb',
    ])('%j is refused', async (key) => {
      const { hub, url, next } = await listening()
      const headers = { 'idempotency-key': Buffer.from(key).toString('latin1') }
      expectProblem(await post(url, '/channels/news', '1', headers), 400, 'ERR_SSE_IDEMPOTENCY_KEY')
      await expectNothingPublished(hub, next)
    })

    it.each([
      ['/channels/news', '2', {}],
      ['/channels/news', '"1"', {}],
      ['/channels/news?event=a', '1', {}],
      ['/channels/news?conflationKey=a', '1', {}],
      ['/channels/news', '1', TEXT],
    ])('with another payload (%s %j %o) is 422', async (path, body, headers) => {
      const { hub, url } = await listening()
      const key = { 'idempotency-key': 'a1' }
      expect((await post(url, '/channels/news', '1', key)).status).toBe(201)
      expectProblem(await post(url, path, body, { ...headers, ...key }), 422, 'ERR_SSE_IDEMPOTENCY_MISMATCH')
      expect(hub.stats().published).toBe(1)
    })

    it('waits while the first is in progress', async () => {
      const { url } = await listening()
      const key = { 'idempotency-key': 'a1' }
      const answers = await Promise.all(Array.from({ length: 5 }, () => post(url, '/channels/news', '1', key)))
      expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, 200, 200, 201])
      expect(new Set(answers.map(({ body }) => JSON.parse(body).id)).size).toBe(1)
    })

    it('is not used up by a refused request', async () => {
      const hub = makeHub(lib)
      let allowed = false
      const app = appWith(flavour, hub, { channels: ['news'], publish: () => allowed, maxBodyBytes: 20 })
      const url = await serve(app)
      const key = { 'idempotency-key': 'a1' }
      expect((await post(url, '/channels/news', '1', key)).status).toBe(403)
      allowed = true
      expect((await post(url, '/channels/news', '{', key)).status).toBe(400)
      expect((await post(url, '/channels/news?event=hub.x', '1', key)).status).toBe(400)
      expect((await post(url, '/channels/news', '1', { ...key, 'sec-fetch-site': 'cross-site' })).status).toBe(403)
      expect((await post(url, '/channels/news', '"12345678901234567890"', key)).status).toBe(413)
      expect((await post(url, '/channels/news', '1', { ...key, 'content-type': 'image/png' })).status).toBe(415)
      expect((await post(url, '/channels/news', '1', key)).status).toBe(201)
      expect(hub.stats().published).toBe(1)
    })
  })

  describe('a channel', () => {
    it.each([
      ['/channels/a+b', 400, 'ERR_SSE_CHANNEL_NAME'],
      [`/channels/${'a'.repeat(201)}`, 400, 'ERR_SSE_CHANNEL_NAME'],
      ['/channels/price.*', 400, 'ERR_SSE_CHANNEL_NAME'],
      ['/channels/%3E', 400, 'ERR_SSE_CHANNEL_NAME'],
      ['/channels/sport', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
      ['/channels/price.a.b', 404, 'ERR_SSE_CHANNEL_UNKNOWN'],
    ])('%s is %i %s', async (path, status, code) => {
      const { hub, url, next } = await listening({ channels: ['news', 'price.*'], publish: 'anyone' })
      const detail = expectProblem(await post(url, path, '1'), status, code)
      if (path.includes('*') || path.includes('%3E')) expect(detail).toContain('pattern')
      await expectNothingPublished(hub, next)
    })

    it('that a pattern of the router covers takes events', async () => {
      const { url, next } = await listening({ channels: ['price.*'], publish: 'anyone' })
      expect((await post(url, '/channels/price.eur', '1')).status).toBe(201)
      expect(await next()).toEqual({ channel: 'price.eur', data: 1 })
    })
  })

  describe('the permission to publish', () => {
    it('is refused by default, and the detail names the option', async () => {
      const { hub, url, next } = await listening({ channels: ['news'] })
      const detail = expectProblem(await post(url, '/channels/news', '1'), 403, 'ERR_SSE_PUBLISH_CLOSED')
      expect(detail).toMatch(/option `publish`/)
      await expectNothingPublished(hub, next)
    })

    it.each([
      ['true', () => true],
      ['a promise of true', async () => true],
    ])('is given if the hook returns %s', async (_name, publish) => {
      const { url } = await listening({ channels: ['news'], publish })
      expect((await post(url, '/channels/news', '1')).status).toBe(201)
    })

    it.each([
      ['false', () => false],
      ['undefined, as from a hook without return', () => undefined],
      ['1', () => 1],
      ['a user', () => ({ id: 42 })],
      ['a text', () => 'yes'],
      ['a promise of false', async () => false],
      ['a promise of an object', async () => ({})],
    ])('is refused if the hook returns %s', async (_name, publish) => {
      const { hub, url, next } = await listening({ channels: ['news'], publish: publish as () => boolean })
      const answer = await post(url, '/channels/news', '1')
      expect(expectProblem(answer, 403, 'ERR_SSE_PUBLISH_FORBIDDEN')).toContain('news')
      await expectNothingPublished(hub, next)
    })

    it('is decided with the request, the name, and `this`', async () => {
      const hub = makeHub(lib)
      const options = {
        channels: ['news'],
        allowed: 'me',
        publish(this: { allowed: string }, req: { get(name: string): string | undefined }, channel: string): boolean {
          return req.get('x-user') === 'me' && channel === 'news'
        },
      }
      const { allowed: _, ...router } = options
      const url = await serve(appWith(flavour, hub, router))
      expect((await post(url, '/channels/news', '1', { 'x-user': 'me' })).status).toBe(201)
      expect((await post(url, '/channels/news', '1')).status).toBe(403)
    })

    it('may be refused with the status and headers of the hook', async () => {
      const error = Object.assign(new Error('secret: db row 7'), {
        status: 401,
        headers: { 'WWW-Authenticate': 'Bearer' },
      })
      const { hub, url, next } = await listening({ channels: ['news'], publish: () => Promise.reject(error) })
      const answer = await post(url, '/channels/news', '1')
      expectProblem(answer, 401, 'ERR_SSE_PUBLISH_FORBIDDEN')
      expect(answer.headers['www-authenticate']).toBe('Bearer')
      expect(answer.body).not.toContain('secret')
      await expectNothingPublished(hub, next)
    })

    it('may be refused with a message that is meant to be seen, and with statusCode', async () => {
      const error = Object.assign(new Error('Read only until Monday.'), { statusCode: 423, expose: true })
      const { url } = await listening({
        channels: ['news'],
        publish() {
          throw error
        },
      })
      expect(expectProblem(await post(url, '/channels/news', '1'), 423, 'ERR_SSE_PUBLISH_FORBIDDEN')).toBe(
        'Read only until Monday.',
      )
    })

    it.each([
      ['an error', new Error('secret')],
      ['a 5xx', Object.assign(new Error('secret'), { status: 502 })],
      ['an invalid status', Object.assign(new Error('secret'), { status: '403' })],
      ['no error', 'secret'],
    ])('is not decided when the hook throws %s: next(err) has it', async (_name, thrown) => {
      const hub = makeHub(lib)
      const app = appWith(flavour, hub, {
        channels: ['news'],
        publish() {
          throw thrown
        },
      })
      const seen: unknown[] = []
      app.use(((error, _req, res, _next) => {
        seen.push(error)
        res.status(599).send('mine')
      }) as import('express').ErrorRequestHandler)
      const answer = await post(await serve(app), '/channels/news', '1')
      expect(answer).toMatchObject({ status: 599, body: 'mine' })
      expect(seen).toEqual([thrown])
      expect(hub.stats().published).toBe(0)
    })

    it('is checked before the body is read, and only for served channels', async () => {
      const asked: string[] = []
      const { url } = await listening({
        channels: ['news'],
        publish(_req, channel) {
          asked.push(channel)
          return false
        },
      })
      expect((await post(url, '/channels/news', '{')).status).toBe(403)
      expect((await post(url, '/channels/sport', '1')).status).toBe(404)
      expect(asked).toEqual(['news'])
    })
  })

  it('is refused with 503 while the hub closes, and reported to on(refused)', async () => {
    const hub = makeHub(lib)
    const refused: string[] = []
    hub.on('refused', ({ code }) => refused.push(code))
    const url = await serve(appWith(flavour, hub))
    await hub.close()
    expectProblem(await post(url, '/channels/news', '1'), 503, 'ERR_SSE_HUB_CLOSED')
    expect(refused).toEqual(['ERR_SSE_HUB_CLOSED'])
  })

  it('leaves a connection that was refused early usable', async () => {
    const { Agent } = await import('node:http')
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    const url = await serve(appWith(flavour, makeHub(lib), { channels: ['news'], publish: () => false }))
    const { request } = await import('node:http')
    for (let i = 0; i < 3; i++) {
      const status = await new Promise((resolve, reject) => {
        const req = request(`${url}/channels/news`, { method: 'POST', agent, headers: TEXT }, (res) => {
          res.resume().on('end', () => resolve(res.statusCode))
        })
        req.on('error', reject)
        req.end('x'.repeat(100_000))
      })
      expect(status).toBe(403)
    }
    agent.destroy()
  })

  it('is served behind a sub-app that has its own settings', async () => {
    const hub = makeHub(lib)
    const inner = express()
    inner.use('/c', hub.router({ channels: ['>'], publish: 'anyone' }))
    const app = express()
    app.use('/api', inner)
    expect((await post(await serve(app), '/api/c/news?event=x', '1')).status).toBe(201)
  })
})
