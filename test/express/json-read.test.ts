import { request } from 'node:http'
import { describe, expect, it, vi } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import type { ChannelHub, HubOptions } from '../../src/index.ts'
import { manualClock } from '../../src/testing/index.ts'
import { appWith, ask, brokerWith, expectProblem, flavours, makeHub, open, serve, until } from './support.ts'

const JSON_ACCEPT = { accept: 'application/json' }

describe.each(flavours)('a read without a stream, Express $version', (flavour) => {
  const { lib } = flavour

  async function serving(options?: Parameters<ChannelHub['router']>[0], hubOptions: HubOptions = {}) {
    const hub = makeHub(lib, hubOptions)
    await hub.ready()
    const url = await serve(appWith(flavour, hub, options))
    const read = async (path: string, headers: Record<string, string> = {}) => {
      const answer = await ask(url, `/channels${path}`, { headers: { ...JSON_ACCEPT, ...headers } })
      return { ...answer, json: () => JSON.parse(answer.body) }
    }
    return { hub, url, read }
  }

  const data = (answer: { json(): { events: { data: unknown }[] } }) => answer.json().events.map(({ data }) => data)

  describe('is requested by Accept', () => {
    it.each([
      ['application/json', true],
      ['application/json, text/plain, */*', true],
      ['application/json;q=0.9, text/event-stream;q=0.5', true],
      ['application/*', true],
      ['APPLICATION/JSON', true],
      ['*/*', false],
      ['', false],
      ['text/event-stream', false],
      ['application/json, text/event-stream', false],
      ['text/event-stream, application/json', false],
      ['application/json;q=0.5, */*', false],
      ['application/json;q=0, text/event-stream', false],
      ['text/html,application/xml;q=0.9,*/*;q=0.8', false],
    ])('%s: %s', async (accept, expected) => {
      const { url } = await serving()
      const answer = await ask(url, '/channels/a', { method: 'HEAD', headers: { accept } })
      const type = expected ? 'application/json; charset=utf-8' : 'text/event-stream'
      expect([answer.status, answer.headers['content-type'], answer.headers.vary]).toEqual([200, type, 'Accept'])
    })

    it.each(['text/html', 'text/event-stream;q=0, */*'])('%s: 406', async (accept) => {
      const { url } = await serving()
      expectProblem(await ask(url, '/channels/a', { headers: { accept } }), 406, 'ERR_SSE_NOT_ACCEPTABLE')
    })
  })

  it('answers the events after a position, as they were published', async () => {
    const { hub, read } = await serving()
    const start = await hub.position()
    const { id: one } = await hub.publish('a', { n: 1 }, { event: 'note' })
    await hub.publish('other', 0)
    const { id: two } = await hub.publish('b', '5')
    const answer = await read(`?channel=a&channel=b&after=${start}`)
    expect([answer.status, answer.headers['cache-control']]).toEqual([200, 'no-store'])
    expect(answer.json()).toEqual({
      position: two,
      end: true,
      events: [
        { channel: 'a', id: one, event: 'note', data: { n: 1 } },
        { channel: 'b', id: two, data: '5' },
      ],
    })
    expect((await read(`/b?after=${two}`)).json()).toEqual({ position: two, end: true, events: [] })
    expect((await read('/b', { 'last-event-id': one })).json()).toMatchObject({
      position: two,
      events: [{ data: '5' }],
    })
    // The header wins, as it does for a stream.
    expect(data(await read(`/b?after=${start}`, { 'last-event-id': two }))).toEqual([])
    expect(data(await read(`/b?lastEventId=${start}`))).toEqual(['5'])
    expect(hub.stats().delivered).toBe(4)
  })

  it('keeps the digits of numbers', async () => {
    const { url, read } = await serving()
    const body = '{"n":12345678901234567890}'
    await ask(url, '/channels/a', { method: 'POST', body, headers: { 'content-type': 'application/json' } })
    expect((await read('/a')).body).toContain(`"data":${body}`)
  })

  it('answers the newest events without a position, and with rewind those of each channel', async () => {
    const { hub, read } = await serving()
    for (let i = 0; i < 150; i++) await hub.publish(i % 2 === 0 ? 'a' : 'b', i)
    const newest = await read('/>')
    expect(data(newest)).toEqual(Array.from({ length: 100 }, (_, i) => i + 50))
    expect(newest.json()).toMatchObject({ end: true, position: await hub.position() })
    expect(data(await read('/>?limit=3'))).toEqual([147, 148, 149])
    expect(data(await read('/>?rewind=1'))).toEqual([148, 149])
    expect((await read('/>?rewind=0')).json()).toEqual({ position: await hub.position(), end: true, events: [] })
  })

  it('pages through the log with limit', async () => {
    const { hub, read } = await serving()
    let position = await hub.position()
    for (let i = 0; i < 7; i++) await hub.publish('a', i)
    const seen: unknown[] = []
    const ends: boolean[] = []
    while (ends.at(-1) !== true) {
      const answer = (await read(`/a?limit=3&after=${position}`)).json()
      seen.push(...answer.events.map(({ data }: { data: unknown }) => data))
      ends.push(answer.end)
      position = answer.position
    }
    expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6])
    expect(ends).toEqual([false, false, true])
  })

  it('reports missing events in a gap before the events', async () => {
    const history = { maxEvents: 2 }
    const { hub, read } = await serving(undefined, { broker: lib.memoryBroker({ history }) })
    const start = await hub.position()
    for (let i = 0; i < 4; i++) await hub.publish('a', `a${i}`)
    for (let i = 0; i < 4; i++) await hub.publish('b', `b${i}`)
    // A gap in the middle ends the answer before it.
    const first = (await read(`/>?after=${start}`)).json()
    expect(first).toMatchObject({ gap: { reason: 'trimmed', channels: ['a'], from: start }, end: false })
    expect(first.events.map(({ data }: { data: unknown }) => data)).toEqual(['a2', 'a3'])
    const second = (await read(`/>?after=${first.position}`)).json()
    expect(second).toMatchObject({ gap: { channels: ['b'], from: first.position }, end: true })
    expect(second.events.map(({ data }: { data: unknown }) => data)).toEqual(['b2', 'b3'])
    const unknown = (await read('/a?after=zzzzzz.1')).json()
    const end = await hub.position()
    expect(unknown).toEqual({
      position: end,
      end: true,
      gap: { reason: 'unknown-epoch', channels: ['a'], from: 'zzzzzz.1', to: end },
      events: [],
    })
    expect((await read('/a?after=x')).json().gap).toEqual({
      reason: 'bad-cursor',
      channels: ['a'],
      from: null,
      to: end,
    })
    expect((await read(`/a?after=${end.slice(0, 7)}zz`)).json()).toMatchObject({
      position: end,
      gap: { reason: 'diverged' },
    })
    expect(hub.stats().gaps).toMatchObject({ trimmed: 2, 'unknown-epoch': 1, 'bad-cursor': 1, diverged: 1 })
  })

  it('conflates as a stream does', async () => {
    const { hub, read } = await serving()
    const start = await hub.position()
    for (let i = 0; i < 3; i++) await hub.publish('a', i, { conflationKey: 'k' })
    expect(data(await read(`/a?after=${start}`))).toEqual([2])
  })

  it.each([
    ['/a?limit=0', 'ERR_SSE_QUERY'],
    ['/a?limit=x', 'ERR_SSE_QUERY'],
    ['/a?limit=1&limit=2', 'ERR_SSE_QUERY'],
    ['/a?wait=-1', 'ERR_SSE_QUERY'],
    ['/a?wait=1.5', 'ERR_SSE_QUERY'],
    ['/a?rewind=x', 'ERR_SSE_QUERY'],
    ['/a?after[]=x', 'ERR_SSE_QUERY'],
    ['/a%20b', 'ERR_SSE_CHANNEL_NAME'],
    ['/', 'ERR_SSE_CHANNEL_REQUIRED'],
  ])('%s is 400', async (path, code) => {
    const { read } = await serving()
    expectProblem(await read(path), 400, code)
  })

  it('takes more than the maximum as the maximum', async () => {
    const { hub, read } = await serving()
    await hub.publish('a', 1)
    expect(data(await read('/a?limit=99999999&wait=99999'))).toEqual([1])
  })

  it('204 for a client that has read the end of a stream', async () => {
    const { read } = await serving()
    const answer = await read('/a', { 'last-event-id': 'hub.finished' })
    expect([answer.status, answer.body]).toEqual([204, ''])
  })

  describe('asks the subscribe hook', () => {
    it('which refuses it, or fails', async () => {
      const verdicts: (() => unknown)[] = [
        () => false,
        () => {
          throw Object.assign(new Error('Who are you.'), { status: 401, expose: true })
        },
        () => {
          throw new Error('database')
        },
      ]
      const { hub, read } = await serving({ channels: ['a'], subscribe: () => verdicts.shift()!() as boolean })
      const failures: unknown[] = []
      hub.on('error', (error) => failures.push(error))
      expectProblem(await read('/a'), 403, 'ERR_SSE_SUBSCRIBE_FORBIDDEN')
      expectProblem(await read('/a'), 401, 'ERR_SSE_SUBSCRIBE_FORBIDDEN')
      expectProblem(
        await read('/a', { accept: 'application/json, text/event-stream;q=0.1' }),
        503,
        'ERR_SSE_OVERLOADED',
      )
      expectProblem(await read('/b'), 404, 'ERR_SSE_CHANNEL_UNKNOWN')
      await until(() => failures.length > 0)
      expect(failures).toEqual([expect.objectContaining({ message: 'database' })])
    })

    it('for each channel of a pattern', async () => {
      const asked: string[] = []
      const history = { maxEvents: 1 }
      const { hub, read } = await serving(
        {
          channels: ['u.*'],
          subscribe: (_req, [channel]) => {
            asked.push(channel!)
            return channel !== 'u.secret'
          },
        },
        { broker: lib.memoryBroker({ history }) },
      )
      const start = await hub.position()
      for (const n of [1, 2]) for (const channel of ['u.a', 'u.secret']) await hub.publish(channel, `${channel} ${n}`)
      const answer = await read(`/u.*?after=${start}`)
      expect(answer.json()).toMatchObject({ gap: { channels: ['u.a'] }, events: [{ data: 'u.a 2' }] })
      expect(answer.json().position).toBe(await hub.position())
      expect(answer.body).not.toContain('secret')
      expect(asked).toEqual(['u.*', 'u.a', 'u.secret'])
    })
  })

  describe('with wait is held', () => {
    it('until there is an event of its channels', async () => {
      const { hub, read } = await serving()
      const start = await hub.position()
      const held = read(`/a?wait=60&after=${start}`)
      await until(() => hub.stats().channels === 1)
      await hub.publish('other', 0)
      await new Promise((resolve) => setTimeout(resolve, 20))
      const { id } = await hub.publish('a', 'now')
      expect((await held).json()).toEqual({ position: id, end: true, events: [{ channel: 'a', id, data: 'now' }] })
      // What is there already is answered at once.
      expect(data(await read(`/a?wait=60&after=${start}`))).toEqual(['now'])
    })

    it('never without a position, or with one that is unusable', async () => {
      const { hub, read } = await serving()
      const position = await hub.position()
      expect((await read('/a?wait=60')).json()).toEqual({ position, end: true, events: [] })
      expect((await read('/a?wait=60&after=zzzzzz.1')).json()).toMatchObject({ gap: { reason: 'unknown-epoch' } })
    })

    it('no longer than it asks, and answers the newer position', async () => {
      const clock = manualClock()
      const { hub, read } = await serving(undefined, { clock })
      const start = await hub.position()
      const held = read(`/a?wait=20&after=${start}`)
      await until(() => hub.stats().channels === 1)
      const { id } = await hub.publish('other', 0)
      await new Promise((resolve) => setTimeout(resolve, 20))
      await clock.advance(19_999)
      const answered = vi.fn()
      held.then(answered)
      await new Promise((resolve) => setTimeout(resolve, 20))
      expect(answered).not.toHaveBeenCalled()
      await clock.advance(1)
      expect((await held).json()).toEqual({ position: id, end: true, events: [] })
      await hub.close()
    })

    it('and released at once when the client leaves', async () => {
      const { hub, url } = await serving(undefined, { maxStreams: 1 })
      const start = await hub.position()
      const path = `/channels/a?wait=60&after=${start}`
      const held = request(new URL(path, url), { headers: JSON_ACCEPT }).on('error', () => {})
      held.end()
      await until(() => hub.stats().channels === 1)
      // It counts as a stream.
      expectProblem(await ask(url, path, { headers: JSON_ACCEPT }), 503, 'ERR_SSE_OVERLOADED')
      expect((await open(url, '/channels/a')).text()).toContain('overloaded')
      held.destroy()
      await until(() => hub.stats().channels === 0)
      const stream = await open(url, '/channels/a')
      expect((await stream.next()).event).toBe('hub.open')
      // One that is not held does not count.
      expect((await ask(url, '/channels/a', { headers: JSON_ACCEPT })).status).toBe(200)
      stream.drop()
      await until(() => hub.stats().streams === 0)
    })

    it('and counts for its address', async () => {
      const { hub, url, read } = await serving(undefined, { maxStreamsPerAddress: 1 })
      const start = await hub.position()
      const held = read(`/a?wait=60&after=${start}`)
      await until(() => hub.stats().channels === 1)
      expectProblem(
        await ask(url, `/channels/a?wait=1&after=${start}`, { headers: JSON_ACCEPT }),
        503,
        'ERR_SSE_OVERLOADED',
      )
      await hub.publish('a', 1)
      await held
      expect((await read(`/a?wait=1&after=${start}`)).status).toBe(200)
    })

    it('and answered by close()', async () => {
      const { hub, read } = await serving()
      const start = await hub.position()
      const held = read(`/a?wait=60&after=${start}`)
      await until(() => hub.stats().channels === 1)
      await hub.close()
      expect((await held).json()).toEqual({ position: start, end: true, events: [] })
      expectProblem(await read('/a'), 503, 'ERR_SSE_HUB_CLOSED')
    })

    it('and refused when its permission is revoked', async () => {
      const { hub, read } = await serving({ channels: ['>'], subscribe: () => ({ info: 'ann' }) })
      const start = await hub.position()
      const held = read(`/a?wait=60&after=${start}`)
      await until(() => hub.stats().channels === 1)
      expect(hub.disconnect(({ info }) => info === 'bob')).toBe(0)
      expect(hub.disconnect(({ info, channels }) => info === 'ann' && channels.includes('a'))).toBe(1)
      expectProblem(await held, 503, 'ERR_SSE_OVERLOADED')
    })

    it('until its permission ends', async () => {
      const clock = manualClock()
      const end = clock.now() + 5_000
      const { hub, read } = await serving({ channels: ['>'], subscribe: () => ({ until: end }) }, { clock })
      const start = await hub.position()
      const held = read(`/a?wait=60&after=${start}`)
      await until(() => hub.stats().channels === 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
      await clock.advance(5_000)
      expect((await held).json()).toMatchObject({ events: [] })
      await hub.close()
    })

    it('through ephemeral events, which it does not receive', async () => {
      const history = { channels: { 'typing.*': { ephemeral: true } } }
      const { hub, read } = await serving(undefined, { broker: lib.memoryBroker({ history }) })
      const start = await hub.position()
      const held = read(`/>?wait=60&after=${start}`)
      await until(() => hub.stats().channels === 1)
      await new Promise((resolve) => setTimeout(resolve, 20))
      await hub.publish('typing.a', 1)
      await hub.publish('b', 2)
      expect(data(await held)).toEqual([2])
    })
  })

  it('503 when the broker fails or does not answer', async () => {
    const clock = manualClock()
    const reads: Broker['read'][] = [() => Promise.reject(new Error('disk /x')), () => new Promise(() => {})]
    const broker = brokerWith({ read: (...given) => reads.shift()!(...given) }, lib)
    const { hub, read } = await serving(undefined, { broker, clock })
    const failed = await read('/a?rewind=0')
    expectProblem(failed, 503, 'ERR_SSE_OVERLOADED')
    expect(failed.body).not.toContain('disk')
    const late = read('/a?rewind=0')
    await until(() => reads.length === 0)
    await clock.advance(5_000)
    expectProblem(await late, 503, 'ERR_SSE_OVERLOADED')
    await hub.close()
  })

  it('continues where a stream stopped, and a stream where it stopped', async () => {
    const { hub, url, read } = await serving()
    const stream = await open(url, '/channels/a')
    await stream.next()
    await hub.publish('a', 1)
    const { id } = await stream.next()
    stream.drop()
    await hub.publish('a', 2)
    const answer = await read(`/a?after=${id}`)
    expect(data(answer)).toEqual([2])
    await hub.publish('a', 3)
    const again = await open(url, '/channels/a', { lastEventId: answer.json().position })
    expect((await again.next()).json()).toMatchObject({ resumed: true })
    expect((await again.next()).data).toBe('3')
  })
})
