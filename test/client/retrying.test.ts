import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { backoff, retryAfter } from '../../src/client/backoff.ts'
import { connect } from '../../src/client/index.ts'
import { connected, EVENT_STREAM, hubEvent, hubOpen, scripted, serve, status, stream, until } from './support.ts'

describe('the wait before another attempt', () => {
  it('is random between what the server asked for and a bound that doubles', () => {
    const random = vi.spyOn(Math, 'random')
    const at = (r: number) => {
      random.mockReturnValue(r)
      return [0, 1, 2, 10].map((failures) => backoff(failures, 2_000, 1_000, 30_000))
    }
    expect(at(0)).toEqual([2_000, 2_000, 2_000, 2_000])
    expect(at(0.5)).toEqual([2_000, 3_000, 5_000, 16_000])
    expect(at(1)).toEqual([2_000, 4_000, 8_000, 30_000])
    random.mockRestore()
  })

  it('is never less than what the server asked for, and never more than the longest', () => {
    const ms = fc.integer({ min: 0, max: 3_600_000 })
    fc.assert(
      fc.property(fc.nat(2_000), ms, ms, ms, (failures, floor, min, max) => {
        const wait = backoff(failures, floor, min, max)
        expect(wait).toBeGreaterThanOrEqual(floor)
        expect(wait).toBeLessThanOrEqual(Math.max(floor, max))
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

describe('an answer that is no stream', () => {
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

  it('refreshes again after a success, and asks for headers anew each time', async () => {
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

describe('what a hub says', () => {
  it('hub.closed: it comes back after the time that was told', async () => {
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

  it('data that is no JSON is an error with the ID, and it goes on', async () => {
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

describe('a request that is no GET', () => {
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

  it('silenceMs: as told; what arrives after the cut is not told twice', async () => {
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
  it('ends it', async () => {
    const { url, requests } = await scripted(stream(`data: ${'x'.repeat(300_000)}`, true))
    const connection = connected(url, { maxEventBytes: 100_000 })
    expect(await connection.closed).toMatchObject({ reason: 'failed', error: { code: 'ERR_SSE_TOO_LARGE' } })
    expect(requests.length).toBe(1)
  })
})
