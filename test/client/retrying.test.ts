import fc from 'fast-check'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { backoff, retryAfter } from '../../src/client/backoff.ts'
import { blockReader } from '../../src/client/blocks.ts'
import { connect } from '../../src/client/index.ts'
import {
  type Answer,
  connected,
  EVENT_STREAM,
  hubEvent,
  hubOpen,
  scripted,
  serve,
  status,
  stream,
  until,
} from './support.ts'

describe('the wait before another attempt', () => {
  it('is random between the time of the server and a limit that doubles', () => {
    const random = vi.spyOn(Math, 'random')
    const at = (r: number) => {
      random.mockReturnValue(r)
      return [0, 1, 2, 10].map((failures) => backoff(failures, 2_000, 1_000, 30_000))
    }
    expect(at(0)).toEqual([2_000, 2_000, 2_000, 2_000])
    // Also the first one, so that clients that were cut together do not reconnect together.
    expect(at(0.5)).toEqual([2_500, 3_000, 5_000, 16_000])
    expect(at(1)).toEqual([3_000, 4_000, 8_000, 30_000])
    random.mockRestore()
  })

  it('is never less than the time of the server, and hardly more than the longest', () => {
    const ms = fc.integer({ min: 0, max: 3_600_000 })
    fc.assert(
      fc.property(fc.nat(2_000), ms, ms, ms, (failures, floor, min, max) => {
        const wait = backoff(failures, floor, min, max)
        expect(wait).toBeGreaterThanOrEqual(floor)
        expect(wait).toBeLessThanOrEqual(Math.max(1.5 * floor, max))
      }),
    )
  })

  it.each([
    [null, 0],
    ['', 0],
    ['0', 0],
    ['3', 3_000],
    ['-3', 0],
    ['soon', 0],
    [new Date(60_000).toUTCString(), 50_000],
    [new Date(5_000).toUTCString(), 0],
  ])('Retry-After: %s', (value, ms) => expect(retryAfter(value, 10_000)).toBe(ms))

  it('grows from one failure to the next, and not after a stream that was healthy', async () => {
    const waits: number[] = []
    const random = vi.spyOn(Math, 'random').mockReturnValue(1)
    const { url } = await serveTimes(waits, (n) => (n < 3 ? status(503) : stream(n < 5 ? ': x\n\n' : '')))
    const connection = connect(url, { retry: { minMs: 20, maxMs: 10_000, resetMs: 0 } })
    await until(() => waits.length > 6)
    connection.close()
    random.mockRestore()
    // 20, 40, 80 after the failures; from then on every answer was a healthy stream.
    expect(waits[0]).toBeGreaterThanOrEqual(19)
    expect(waits[1]).toBeGreaterThanOrEqual(39)
    expect(waits[2]).toBeGreaterThanOrEqual(79)
    expect(Math.min(...waits.slice(3))).toBeLessThan(79)
  })
})

/** Serves by the number of the request, and notes the time between the end of one and the next. */
async function serveTimes(waits: number[], answer: (n: number) => (res: never, req: never) => unknown) {
  let last: number | undefined
  let n = 0
  const url = await serve((req, res) => {
    if (last !== undefined) waits.push(performance.now() - last)
    answer(n++)(res as never, req as never)
    last = performance.now()
  })
  return { url }
}

describe('an answer that is not a stream', () => {
  it.each([500, 502, 503, 504, 408, 425, 429, 599])('%i: it is tried again', async (code) => {
    const { url } = await scripted(status(code), stream('data: a\n\n'), status(204))
    const connection = connected(url)
    expect(await connection.closed).toEqual({ reason: 'finished', error: undefined })
    expect(connection.told.error).toMatchObject([{ code: 'ERR_SSE_STATUS', status: code, final: false }])
    expect(connection.told.event.length).toBe(1)
    expect(connection.attempts).toBe(3)
  })

  it.each([201, 205, 304, 400, 401, 403, 404, 405, 406, 410])('%i: it is over', async (code) => {
    const { url, requests } = await scripted(status(code))
    const connection = connected(url)
    const { reason, error } = await connection.closed
    expect(reason).toBe('failed')
    expect(error).toMatchObject({ code: 'ERR_SSE_STATUS', status: code, final: true, name: 'ConnectionError' })
    expect(connection.told.state.at(-1)).toBe('closed')
    expect(requests.length).toBe(1)
  })

  it('204: it is finished', async () => {
    const { url } = await scripted(status(204))
    const connection = connected(url)
    expect(await connection.closed).toEqual({ reason: 'finished', error: undefined })
    expect(connection.told.state).toEqual(['connecting', 'closed'])
  })

  it('heeds Retry-After', async () => {
    const waits: number[] = []
    const { url } = await serveTimes(waits, (n) => (n === 0 ? status(503, { 'retry-after': '1' }) : status(204)))
    await connected(url).closed
    expect(waits[0]).toBeGreaterThan(990)
  })

  it('heeds a server that is not there', async () => {
    const { url } = await scripted(status(204))
    const connection = connected('http://127.0.0.1:1')
    await until(() => connection.told.error.length > 1)
    expect(connection.told.error[0]).toMatchObject({ code: 'ERR_SSE_NETWORK', final: false })
    expect(connection.told.state.slice(0, 3)).toEqual(['connecting', 'waiting', 'connecting'])
    void url
  })
})

describe('401 and 403', () => {
  it.each([401, 403])('%i: refreshed once, then it is over', async (code) => {
    const { url, requests } = await scripted(status(code))
    let calls = 0
    const connection = connected(url, { onUnauthorized: ({ status }) => expect(status).toBe(code + 0 * ++calls) })
    expect(await connection.closed).toMatchObject({ reason: 'failed', error: { status: code } })
    expect([calls, requests.length]).toEqual([1, 2])
  })

  it('refreshes again after a success, and computes the headers for each attempt', async () => {
    let token = 0
    const { url, requests } = await scripted(
      status(401),
      stream(': x\n\n'),
      status(401),
      stream(': x\n\n'),
      status(204),
    )
    const connection = connected(url, {
      headers: async () => ({ authorization: `Bearer ${token}` }),
      onUnauthorized: async () => void token++,
    })
    expect(await connection.closed).toMatchObject({ reason: 'finished' })
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(
      [0, 1, 1, 2, 2].map((token) => `Bearer ${token}`),
    )
    expect(connection.told.error).toEqual([])
  })

  it('false gives up at once; one that fails is tried again', async () => {
    const { url, requests } = await scripted(status(401))
    expect(await connected(url, { onUnauthorized: () => false }).closed).toMatchObject({ reason: 'failed' })
    expect(requests.length).toBe(1)
    let calls = 0
    const again = connected(url, {
      onUnauthorized() {
        if (calls++ === 0) throw new Error('offline')
      },
    })
    expect(await again.closed).toMatchObject({ error: { status: 401 } })
    expect(calls).toBe(2)
    expect(again.told.error[0]).toMatchObject({ code: 'ERR_SSE_NETWORK', cause: { message: 'offline' } })
  })
})

describe('the events of a hub', () => {
  it('hub.closed: the client reconnects after the given time', async () => {
    const waits: number[] = []
    const { url } = await serveTimes(waits, (n) =>
      n === 0
        ? stream(`retry: 150\n${hubOpen('e.1')}event: hub.closed\ndata: {"reason":"shutdown"}\n\n`, true)
        : status(204),
    )
    const connection = connected(url)
    await connection.closed
    expect(waits[0]).toBeGreaterThan(145)
    expect(connection.told.error).toEqual([])
    expect(connection.told.state).toEqual(['connecting', 'open', 'waiting', 'connecting', 'closed'])
  })

  it('hub.finished: it is over, on the next page as well', async () => {
    const { url, requests } = await scripted(
      stream(`${hubOpen('e.1')}${hubEvent('e.2', 1)}event: hub.finished\nid: hub.finished\ndata: {}\n\n`, true),
    )
    const kept: string[] = []
    const connection = connected(url, { store: { get: () => undefined, set: (id) => kept.push(id) } })
    expect(await connection.closed).toEqual({ reason: 'finished', error: undefined })
    expect(kept).toEqual(['e.1', 'e.2', 'hub.finished'])
    expect(requests.length).toBe(1)
  })

  it('its positions are taken, those without an ID leave it as it is', async () => {
    const gap = { reason: 'unknown-epoch', channels: ['board'], from: 'a.1', to: 'b.7' }
    const { url, requests } = await scripted(
      stream(`${hubOpen()}event: hub.gap\nid: b.7\ndata: ${JSON.stringify(gap)}\n\n`),
      stream(`${hubOpen('b.7', { resumed: true })}event: hub.position\nid: b.9\ndata: {}\n\n`),
      stream(`${hubOpen('b.9', { resumed: true })}${hubEvent('b.a', { x: 1 }, 'board', 'note')}`),
      status(204),
    )
    const connection = connected(url, { lastEventId: 'a.1' })
    await connection.closed
    expect(requests.map(({ headers }) => headers['last-event-id'])).toEqual(['a.1', 'b.7', 'b.9', 'b.a'])
    expect(connection.told.gap).toEqual([{ gap: true, ...gap, id: 'b.7' }])
    expect(connection.told.open.map(({ resumed }) => resumed)).toEqual([false, true, true])
    expect(connection.told.resumed.length).toBe(2)
    expect(connection.told.event).toEqual([{ channel: 'board', event: 'note', data: { x: 1 }, id: 'b.a' }])
  })

  it('data that is not JSON is an error with the ID, and the stream continues', async () => {
    const { url, requests } = await scripted(
      stream(`${hubOpen('e.1')}id: e.2\ndata: {oops\n\n${hubEvent('e.3', 1)}`),
      status(204),
    )
    const connection = connected(url)
    await connection.closed
    expect(connection.told.error).toMatchObject([{ code: 'ERR_SSE_DATA', id: 'e.2', final: false }])
    expect(connection.told.event.length).toBe(1)
    expect(requests[1]!.headers['last-event-id']).toBe('e.3')
  })
})

describe('a request other than GET', () => {
  it('is not repeated: a clean end is the end, anything else a failure', async () => {
    const first = await scripted(stream('data: a\n\n'))
    const once = connected(first.url, { body: '{}', headers: { 'content-type': 'application/json' } })
    expect(await once.closed).toEqual({ reason: 'finished', error: undefined })
    expect(first.requests.map(({ method }) => method)).toEqual(['POST'])
    const second = await scripted(status(503))
    expect(await connected(second.url, { method: 'POST' }).closed).toMatchObject({
      reason: 'failed',
      error: { status: 503 },
    })
    expect(second.requests.length).toBe(1)
  })

  it('is not repeated when the page returns, only when the application requests it', async () => {
    const { url, requests } = await scripted((res) => res.writeHead(200, EVENT_STREAM).flushHeaders())
    const page = Object.assign(new EventTarget(), { document: { visibilityState: 'visible' } })
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
    onTestFinished(() => void vi.unstubAllGlobals())
    const connection = connected(url, { body: 'x' })
    await until(() => connection.state === 'open')
    for (const type of ['freeze', 'resume', 'online']) page.dispatchEvent(new Event(type))
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect([requests.length, connection.state]).toEqual([1, 'open'])
    connection.reconnect()
    await until(() => requests.length === 2)
  })

  it('is repeated when asked, and from a position', async () => {
    const asked = await scripted(status(503), stream('data: a\n\n'), status(204))
    const bodies: string[] = []
    await connected(asked.url, { body: () => `${bodies.push('x')}`, retryPost: true }).closed
    expect([asked.requests.length, bodies.length]).toEqual([3, 3])
    const held = await scripted(stream('id: 1\ndata: a\n\n'), status(204))
    await connected(held.url, { body: 'x' }).closed
    expect(held.requests.map(({ headers }) => headers['last-event-id'])).toEqual([undefined, '1'])
  })
})

describe('silence', () => {
  it('no answer: given up, and tried again', async () => {
    const { url } = await scripted(() => {}, status(204))
    const connection = connected(url, { connectTimeoutMs: 50 })
    await connection.closed
    expect(connection.told.error).toMatchObject([{ code: 'ERR_SSE_TIMEOUT' }])
  })

  it('a function among the options that does not answer is given up too', async () => {
    const { url } = await scripted(status(204))
    let calls = 0
    const connection = connected(url, {
      connectTimeoutMs: 50,
      headers: () => (calls++ === 0 ? new Promise<never>(() => {}) : {}),
    })
    await connection.closed
    expect(connection.told.error).toMatchObject([{ code: 'ERR_SSE_TIMEOUT' }])
  })

  it('not a byte for three heartbeats: cut; a comment is one', async () => {
    let beats = 0
    const { url, requests } = await scripted((res) => {
      res.writeHead(200, EVENT_STREAM)
      res.write(hubOpen('e.1', { heartbeatIntervalMs: 100 }))
      const timer = setInterval(() => {
        if (++beats < 5) res.write(':\n\n')
        else clearInterval(timer)
      }, 150)
    }, status(204))
    const begun = performance.now()
    const connection = connected(url)
    await connection.closed
    expect(performance.now() - begun).toBeGreaterThan(4 * 150 + 290)
    expect(beats).toBe(5)
    expect(connection.told.error).toMatchObject([{ code: 'ERR_SSE_TIMEOUT' }])
    expect(requests[1]!.headers['last-event-id']).toBe('e.1')
  })

  it('silenceMs: after the given time; an event that arrives after the cut is not delivered twice', async () => {
    const { url } = await scripted(
      (res) => {
        res.writeHead(200, EVENT_STREAM)
        res.write(`${hubOpen('e.1')}${hubEvent('e.2', 2)}id: e.3\ndata: {"channel"`)
        setTimeout(() => res.write(':"board","data":3}\n\n'), 120)
      },
      stream(`${hubOpen('e.2', { resumed: true })}${hubEvent('e.3', 3)}${hubEvent('e.4', 4)}`),
      status(204),
    )
    const connection = connected(url, { silenceMs: 60 })
    await connection.closed
    expect(connection.told.event.map(({ data }) => data)).toEqual([2, 3, 4])
  })
})

describe('an event that is too large', () => {
  const large = (id: string) => `${id}data: {"channel":"board","data":"${'x'.repeat(3_000)}`
  it.each<[string, string[]]>([
    ['after many comments', [...Array.from({ length: 200 }, () => ':\n\n'), large('id: e.2\n')]],
    ['after comments before its ID', [`${':aaaaaaaaaaaaaaaaaaaaaaaa\n'.repeat(40)}`, large('id: e.2\n')]],
    ['after many events in one piece', [hubEvent('e.1', 1).repeat(60) + large('id: e.2\n')]],
    ['with CRLF', [hubEvent('e.1', 1).repeat(60).replaceAll('\n', '\r\n') + large('id: e.2\r\n')]],
    ['with CR', [hubEvent('e.1', 1).repeat(60).replaceAll('\n', '\r') + large('id: e.2\r')]],
    ['without a space', [large('id:e.2\n')]],
    ['with two IDs', [large('id: e.1\nid: e.2\n')]],
    ['after another', [`${large('id: e.1\n')}${'x'.repeat(3_000)}"}\n\n`, large('id: e.2\n')]],
  ])('moves the position past it: %s', (_, texts) => {
    const read = blockReader(1_000, () => {})
    const bytes = [...texts, 'x'.repeat(3_000), 'x"}\n\n'].map((text) => new TextEncoder().encode(text))
    const blocks = bytes.flatMap((part) => read(part))
    expect(blocks.at(-1)).toEqual({ id: 'e.2', data: '', isTooLarge: true })
  })

  it('is skipped with an error, and the position moves past it', async () => {
    const { url, requests } = await scripted(
      (res) => {
        res.writeHead(200, EVENT_STREAM)
        res.write(`${hubOpen('e.0')}${hubEvent('e.1', 1)}`)
        res.write(`id: e.2\ndata: {"channel":"board","data":"${'x'.repeat(150_000)}`)
        setTimeout(() => res.end(`${'x'.repeat(300_000)}"}\n\n`), 20)
      },
      stream(`${hubOpen('e.2', { resumed: true })}${hubEvent('e.3', 3)}`),
      status(204),
    )
    const connection = connected(url, { maxEventBytes: 100_000 })
    await connection.closed
    expect(connection.told.event.map(({ data }) => data)).toEqual([1, 3])
    expect(connection.told.error[0]).toMatchObject({ code: 'ERR_SSE_TOO_LARGE', id: 'e.2', final: false })
    expect(requests[1]!.headers['last-event-id'] ?? requests[1]!.url).toContain('e.2')
  })

  it('is not what comments add up to', async () => {
    const comments = ': a comment of a heartbeat\n'.repeat(10_000)
    const { url } = await scripted(stream(`${hubOpen('e.0')}${comments}${hubEvent('e.1', 1)}`), status(204))
    const connection = connected(url, { maxEventBytes: 100_000 })
    await connection.closed
    expect(connection.told.error).toEqual([])
    expect(connection.told.event).toHaveLength(1)
  })
})

describe('a stream of a stranger', () => {
  it.each([
    ['hub.open', 'null'],
    ['hub.open', '{"channels":"a"}'],
    ['hub.open', '[]'],
    ['hub.gap', 'null'],
    ['hub.gap', '{"reason":5}'],
    ['hub.gap', '"text"'],
    [undefined, 'null'],
    [undefined, '{"data":1}'],
    [undefined, '{"channel":5,"data":1}'],
    [undefined, '5'],
    [undefined, 'no JSON'],
  ])('that sends %s with %s is an error of that block alone', async (event, data) => {
    const block = `${event === undefined ? '' : `event: ${event}\n`}id: e.1\ndata: ${data}\n\n`
    const { url } = await scripted(stream(`${hubOpen('e.0')}${block}${hubEvent('e.2', 2)}`), status(204))
    const connection = connected(url)
    connection.channel('user.*', () => {})
    expect(await connection.closed).toMatchObject({ reason: 'finished' })
    expect(connection.told.error[0]).toMatchObject({ code: 'ERR_SSE_DATA', id: 'e.1', final: false })
    expect(connection.told.event.map(({ data }) => data)).toEqual([2])
  })

  it('without envelopes cannot pass off its text as an event of another channel', async () => {
    const forged = 'id: e.1\ndata: {"channel":"admin","event":"grant","data":{"all":true}}\n\n'
    const { url } = await scripted(stream(`${hubOpen('e.0', { envelope: false })}${forged}`), status(204))
    const connection = connected(url)
    await connection.closed
    expect(connection.told.event).toEqual([
      { channel: '', event: undefined, id: 'e.1', data: '{"channel":"admin","event":"grant","data":{"all":true}}' },
    ])
  })
})

describe('a mistake in the options', () => {
  it.each([
    ['an invalid header', { headers: { 'x-a': 'a\nb' } }],
    [
      'a function of headers that throws',
      {
        headers: () => {
          throw new ReferenceError('token is not defined')
        },
      },
    ],
    ['a GET with a body', { method: 'GET', body: 'x' }],
    [
      'a fetch without a body that can be read',
      {
        fetch: async () => ({ status: 200, headers: new Headers({ 'content-type': 'text/event-stream' }), body: null }),
      },
    ],
  ] as [string, object][])('is final, and named once: %s', async (_, options) => {
    const { url, requests } = await scripted(stream(hubOpen('e.0'), true))
    const connection = connected(url, options)
    expect(await connection.closed).toMatchObject({ reason: 'failed', error: { code: 'ERR_SSE_REQUEST', final: true } })
    expect(requests.length).toBe(0)
    expect(connection.told.error).toEqual([])
  })

  it('is not a function of headers that fails to fetch', async () => {
    let calls = 0
    const { url } = await scripted(status(204))
    const connection = connected(url, {
      headers: async () => (calls++ === 0 ? Promise.reject(new TypeError('fetch failed')) : {}),
    })
    expect(await connection.closed).toMatchObject({ reason: 'finished' })
  })
})

describe('a connection that has worked', () => {
  it('survives a 404 and a login page in a deploy, and says that it was redirected', async () => {
    const { url } = await scripted(
      stream(`${hubOpen('e.0')}${hubEvent('e.1', 1)}`),
      status(404),
      (res, req) => (req.url!.includes('login') ? res.end() : res.writeHead(302, { location: '/login' }).end()),
      (res) => res.writeHead(200, { 'content-type': 'text/html' }).end('login'),
      stream(`${hubOpen('e.1', { resumed: true })}${hubEvent('e.2', 2)}`),
      status(204),
    )
    const connection = connected(url)
    expect(await connection.closed).toMatchObject({ reason: 'finished' })
    expect(connection.told.event.map(({ data }) => data)).toEqual([1, 2])
    const told = connection.told.error.map(({ code, status, redirected, final }) => [code, status, redirected, final])
    expect(told).toContainEqual(['ERR_SSE_STATUS', 404, false, false])
    expect(told).toContainEqual(['ERR_SSE_CONTENT_TYPE', 200, true, false])
  })

  it.each([
    ['giveUpMs: 0', { retry: { minMs: 1, maxMs: 5, giveUpMs: 0 } }],
    ['shouldRetry', { shouldRetry: () => false }],
  ])('ends at once where asked to: %s', async (_, options) => {
    const { url } = await scripted(stream(hubOpen('e.0')), status(404))
    expect(await connected(url, options).closed).toMatchObject({
      reason: 'failed',
      error: { status: 404, final: true },
    })
  })

  it('counts giveUpMs from the first such answer, not from the outage before it', async () => {
    let cutAt = 0
    const { url } = await scripted(
      (res, req) => {
        stream(hubOpen('e.0'), true)(res, req)
        cutAt = Date.now()
        setTimeout(() => res.destroy(), 10)
      },
      ...Array.from(
        { length: 400 },
        (): Answer => (res, req) => {
          const ms = Date.now() - cutAt
          if (ms < 600) req.socket.destroy()
          else status(ms < 700 ? 404 : 204)(res, req)
        },
      ),
    )
    const connection = connected(url, { retry: { minMs: 5, maxMs: 20, giveUpMs: 500 } })
    expect(await connection.closed).toEqual({ reason: 'finished', error: undefined })
    expect(connection.told.error.some(({ status }) => status === 404)).toBe(true)
  })

  it('ends when the answers stay so for giveUpMs', async () => {
    const { url, requests } = await scripted(stream(hubOpen('e.0')), status(404))
    const connection = connected(url, { retry: { minMs: 5, maxMs: 20, giveUpMs: 100 } })
    expect(await connection.closed).toMatchObject({ reason: 'failed', error: { status: 404 } })
    expect(requests.length).toBeGreaterThan(2)
  })

  it.each([
    ['no server', () => Promise.resolve('http://127.0.0.1:1'), 'ERR_SSE_NETWORK'],
    ['no answer', async () => (await scripted(() => {})).url, 'ERR_SSE_TIMEOUT'],
    ['an overload', async () => (await scripted(status(503))).url, 'ERR_SSE_STATUS'],
    ['a refusal', async () => (await scripted(status(404))).url, 'ERR_SSE_STATUS'],
  ])('asks shouldRetry once about %s, and ends where it throws', async (_, urlOf, code) => {
    const url = await urlOf()
    const asked: string[] = []
    const told = connected(url, { connectTimeoutMs: 50, shouldRetry: ({ error }) => asked.push(error.code) === 0 })
    expect(await told.closed).toMatchObject({ reason: 'failed', error: { code, final: true } })
    expect(asked).toEqual([code])
    const mistake = new Error('a mistake of the application')
    const shouldRetry = () => {
      throw mistake
    }
    const thrown = connected(url, { connectTimeoutMs: 50, shouldRetry })
    expect(await thrown.closed).toMatchObject({
      reason: 'failed',
      error: { code: 'ERR_SSE_REQUEST', final: true, cause: mistake },
    })
    expect(thrown.state).toBe('closed')
  })

  it('may repeat a request that never worked', async () => {
    const { url } = await scripted(status(404), status(204))
    const connection = connected(url, { shouldRetry: ({ hasWorked }) => !hasWorked })
    expect(await connection.closed).toMatchObject({ reason: 'finished' })
  })
})

describe('a wait', () => {
  it.each([['1000000000000'], [new Date('9999-01-01').toUTCString()]])(
    'of Retry-After: %s is capped',
    async (value) => {
      const waits: number[] = []
      const { url } = await serveTimes(waits, (n) => (n < 2 ? status(503, { 'retry-after': value }) : status(204)))
      const connection = connected(url, { retry: { minMs: 1, maxMs: 2, maxAskedMs: 30 } })
      await connection.closed
      expect(waits[0]).toBeGreaterThanOrEqual(29)
    },
  )

  it('ends with reconnect(), also while onUnauthorized or headers hang', async () => {
    const { url } = await scripted(status(401), status(204))
    let asked = 0
    const connection = connected(url, {
      onUnauthorized: () => {
        asked++
        return new Promise(() => {})
      },
    })
    await until(() => asked === 1)
    connection.reconnect()
    expect(await connection.closed).toMatchObject({ reason: 'finished' })
  })

  it('does not grow for streams that end at once after they brought events', async () => {
    let n = 0
    const { url, requests } = await scripted((res, req) => {
      n++
      if (n > 12) return status(204)(res, req)
      return stream(`${hubOpen(`e.${n}`, { resumed: true })}${hubEvent(`e.${n + 1}`, n)}`)(res, req)
    })
    const connection = connected(url, { retry: { minMs: 2, maxMs: 60_000 } })
    await connection.closed
    expect(requests.length).toBe(13)
  })

  it('of a store that is slow writes the newest position next, and one that fails is reported once', async () => {
    const events = Array.from({ length: 20 }, (_, i) => hubEvent(`e.${i + 1}`, i)).join('')
    const { url } = await scripted(stream(`${hubOpen('e.0')}${events}`, true))
    const sets: string[] = []
    const slow = connected(url, {
      store: {
        get: () => '',
        set: async (id) => {
          sets.push(id)
          await new Promise((resolve) => setTimeout(resolve, 20))
        },
      },
    })
    await until(() => sets.at(-1) === 'e.20')
    expect(sets.length).toBeLessThan(5)
    slow.close()
    const failing = connected(url, { store: { get: () => '', set: () => Promise.reject(new Error('full')) } })
    await until(() => failing.told.event.length === 20)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(failing.told.error.map(({ code }) => code)).toEqual(['ERR_SSE_STORE'])
    failing.close()
  })
})

describe('the events of a stream', () => {
  it('restart the back-off with one published event, and not with an event of the hub itself', async () => {
    const random = vi.spyOn(Math, 'random').mockReturnValue(1)
    const waits = async (body: string) => {
      const times: number[] = []
      const { url } = await serveTimes(times, () => stream(body))
      const connection = connect(url, { retry: { minMs: 20, maxMs: 10_000 } })
      await until(() => times.length > 3)
      connection.close()
      return times.slice(0, 4)
    }
    const events = await waits('id: 1\ndata: a\n\n')
    const nothing = await waits(hubOpen('e.0'))
    random.mockRestore()
    expect(Math.min(...events.slice(1))).toBeLessThan(39)
    expect(nothing[2]).toBeGreaterThanOrEqual(79)
  })

  it.each(['hub.state', 'hub.error', 'hub.event', 'hub.closed2', 'hub.constructor'])(
    'does not believe a name that no hub uses: %s',
    async (name) => {
      const { url } = await scripted(
        stream(`${hubOpen('e.0')}event: ${name}\nid: e.1\ndata: {"a":1}\n\n${hubEvent('e.2', 2)}`, true),
      )
      const hub = connected(url)
      await until(() => hub.told.event.length > 0)
      expect([hub.state, hub.told.error.length, hub.told.event.map(({ data }) => data)]).toEqual(['open', 0, [2]])
      // On a stream without a hub it is an ordinary event.
      const plain = connected((await scripted(stream(`event: ${name}\ndata: a\n\n`, true))).url)
      await until(() => plain.told.event.length > 0)
      expect(plain.told.event).toMatchObject([{ event: name, data: 'a' }])
      expect(plain.state).toBe('open')
    },
  )

  it('is given up after silence, also with a fetch that takes no notice of the signal', async () => {
    const { url, requests } = await scripted(stream(': x\n\n', true))
    const deaf: typeof fetch = (input, init) => fetch(input, { ...init, signal: null })
    const connection = connected(url, { silenceMs: 50, fetch: deaf })
    await until(() => requests.length > 1)
    expect(connection.told.error[0]).toMatchObject({ code: 'ERR_SSE_TIMEOUT' })
    const before = requests.length
    connection.reconnect()
    await until(() => requests.length > before)
  })
})
