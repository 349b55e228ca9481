import type { Request } from 'express'
import { describe, expect, it } from 'vitest'
import type { ChannelHub, HubOptions, SubscribeVerdict, Subscription } from '../../src/index.ts'
import { manualClock } from '../../src/testing/index.ts'
import { appWith, ask, EVENT_STREAM, expectProblem, flavours, makeHub, open, serve, until } from './support.ts'

type Verdict = SubscribeVerdict | Promise<SubscribeVerdict>

describe.each(flavours)('the subscribe hook, Express $version', (flavour) => {
  const { lib } = flavour

  async function serving(
    subscribe: (req: Request, channels: readonly string[]) => Verdict,
    options: HubOptions = {},
  ): Promise<{ hub: ChannelHub; url: string; failures: unknown[] }> {
    const hub = makeHub(lib, options)
    const failures: unknown[] = []
    hub.on('error', (error) => failures.push(error))
    return { hub, url: await serve(appWith(flavour, hub, { channels: ['>'], subscribe })), failures }
  }

  it.each([
    ['true', () => true],
    ['a promise of true', async () => true],
    ['an object', () => ({})],
    ['a promise of an object', async () => ({ info: 1 })],
  ] as [string, () => Verdict][])('allows with %s', async (_name, subscribe) => {
    const { url } = await serving(subscribe)
    const s = await open(url, '/channels/news')
    expect((await s.next()).event).toBe('hub.open')
  })

  it.each([
    ['false', () => false],
    ['undefined', () => undefined],
    ['null', () => null],
    ['1', () => 1],
    ['a text', () => 'anyone'],
    ['a promise of false', async () => false],
    ['a function', () => () => true],
  ])('refuses with %s, even one that asks for an event stream', async (_name, subscribe) => {
    const { hub, url } = await serving(subscribe as () => boolean)
    const answer = await ask(url, '/channels?channel=a&channel=b', { headers: EVENT_STREAM })
    expect(expectProblem(answer, 403, 'ERR_SSE_SUBSCRIBE_FORBIDDEN')).toContain('a, b')
    expect(hub.stats()).toMatchObject({ resumed: { new: 0 }, subscriptions: 0, channels: 0 })
  })

  it('refuses with its own 4xx status and headers, and without its message', async () => {
    const { url } = await serving(() => {
      throw Object.assign(new Error('secret'), { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="x"' } })
    })
    const answer = await ask(url, '/channels/news', { headers: EVENT_STREAM })
    expect(expectProblem(answer, 401, 'ERR_SSE_SUBSCRIBE_FORBIDDEN')).not.toContain('secret')
    expect(answer.headers['www-authenticate']).toBe('Basic realm="x"')
  })

  it('refuses with an SseError as it is', async () => {
    const { url } = await serving(async () => {
      throw new lib.SseError('ERR_SSE_CHANNEL_UNKNOWN', 'There is no such order.')
    })
    expect(expectProblem(await ask(url, '/channels/news'), 404, 'ERR_SSE_CHANNEL_UNKNOWN')).toBe(
      'There is no such order.',
    )
  })

  it('is asked with the request and all names, after they are checked, and again on each reconnect', async () => {
    const asked: unknown[] = []
    const { hub, url } = await serving((req, channels) => {
      asked.push([req.get('x-user'), channels])
      return true
    })
    expect((await ask(url, '/channels/+')).status).toBe(400)
    expect((await ask(url, '/channels/a?rewind=x')).status).toBe(400)
    expect((await ask(url, '/channels/a', { headers: { accept: 'text/html' } })).status).toBe(406)
    expect(asked).toEqual([])
    const s = await open(url, '/channels?channel=a&channel=b.*', { headers: { 'x-user': 'me' } })
    await s.next()
    await hub.publish('a', 1)
    await s.next()
    await s.reconnect()
    await s.next()
    expect(asked).toEqual([
      ['me', ['a', 'b.*']],
      ['me', ['a', 'b.*']],
    ])
  })

  it('may refuse a client that reconnects', async () => {
    let allowed = true
    const { url } = await serving(() => allowed)
    const s = await open(url, '/channels/a')
    await s.next()
    allowed = false
    await s.reconnect()
    expect(s.status).toBe(403)
  })

  it('gives the subscription its info', async () => {
    const { hub, url } = await serving(() => ({ info: { user: 42 } }))
    const seen: Subscription[] = []
    hub.on('subscribe', (subscription) => seen.push(subscription))
    const s = await open(url, '/channels/a')
    await s.next()
    expect(seen.map(({ info, channels, state }) => ({ info, channels, state }))).toEqual([
      { info: { user: 42 }, channels: ['a'], state: 'live' },
    ])
    expect(hub.disconnect(({ info }) => (info as { user: number }).user === 42)).toBe(1)
    const closed = await s.next()
    expect(closed).toMatchObject({ event: 'hub.closed', id: undefined, data: '{"reason":"revoked"}' })
    await s.ended
  })

  it('that takes its time for a client that has left leaves nothing behind', async () => {
    let answer!: (verdict: boolean) => void
    let gone!: () => void
    const left = new Promise<void>((resolve) => {
      gone = resolve
    })
    const { hub, url } = await serving((req) => {
      req.res!.on('close', gone)
      return new Promise((resolve) => {
        answer = resolve
      })
    })
    const request = new AbortController()
    const response = fetch(`${url}/channels/a`, { signal: request.signal }).catch(() => {})
    await until(() => answer !== undefined)
    request.abort()
    await Promise.all([response, left])
    answer(true)
    await new Promise((resolve) => setImmediate(resolve))
    expect(hub.stats()).toMatchObject({ subscriptions: 0, channels: 0, resumed: { new: 0 } })
  })

  describe('until', () => {
    it('closes the stream with hub.closed and expired', async () => {
      const clock = manualClock()
      const { hub, url } = await serving(() => ({ until: new Date(clock.now() + 60_000) }), { clock })
      const reasons: unknown[] = []
      hub.on('unsubscribe', (_subscription, reason) => reasons.push(reason))
      const s = await open(url, '/channels/a')
      const first = await s.next()
      clock.advance(59_999)
      await hub.publish('a', 'still here')
      expect((await s.next({ type: 'message' })).data).toBe('still here')
      clock.advance(1)
      const closed = await s.next()
      expect(closed).toMatchObject({ event: 'hub.closed', id: undefined, data: '{"reason":"expired"}' })
      await s.ended
      expect(reasons).toEqual(['expired'])
      expect(hub.stats().closes.expired).toBe(1)
      // The client resumes where it stopped, because the last block has no position.
      expect(s.lastEventId).not.toBe(first.id)
      expect(clock.pendingTimers).toBeLessThanOrEqual(1)
    })

    it('may be further away than a timer reaches', async () => {
      const clock = manualClock()
      const days = 86_400_000
      const end = clock.now() + 60 * days
      const app = flavour.express()
      app.use(lib.sse({ clock, heartbeatIntervalMs: 0 }))
      app.use(makeHub(lib, { clock }).router({ channels: ['>'], subscribe: () => ({ until: new Date(end) }) }))
      const s = await open(app, '/a')
      await s.next()
      clock.advance(60 * days - 1)
      expect(clock.pendingTimers).toBe(1)
      clock.advance(1)
      expect((await s.next()).data).toBe('{"reason":"expired"}')
      expect(clock.pendingTimers).toBe(0)
    })

    it('in the past is a refusal', async () => {
      const clock = manualClock()
      const { url } = await serving(() => ({ until: new Date(clock.now()) }), { clock })
      expectProblem(await ask(url, '/channels/a', { headers: EVENT_STREAM }), 403, 'ERR_SSE_SUBSCRIBE_FORBIDDEN')
    })

    it('undefined means no end', async () => {
      const clock = manualClock()
      const { url, hub } = await serving(() => ({ until: undefined }), { clock })
      const s = await open(url, '/channels/a')
      await s.next()
      clock.advance(3_600_000)
      await hub.publish('a', 1)
      expect((await s.next({ type: 'message' })).data).toBe('1')
    })
  })

  describe('for a pattern', () => {
    it('is asked for each channel before its first event, once', async () => {
      const asked: string[] = []
      const { hub, url } = await serving(async (_req, [channel]) => {
        asked.push(channel!)
        return !channel!.endsWith('.secret')
      })
      const s = await open(url, '/channels/user.*')
      await s.next()
      for (const [channel, data] of [
        ['user.a', 1],
        ['user.secret', 'hidden'],
        ['user.a', 2],
        ['user.secret', 'hidden'],
        ['user.b', 3],
      ] as const) {
        await hub.publish(channel, data)
      }
      expect([(await s.next()).data, (await s.next()).data, (await s.next()).data]).toEqual(['1', '2', '3'])
      expect(asked).toEqual(['user.*', 'user.a', 'user.secret', 'user.b'])
      expect(s.text()).not.toContain('hidden')
      // A pattern receives only permitted channels, and the receipts count these.
      expect((await hub.publish('user.secret', 'hidden')).localSubscribers).toBe(0)
      expect((await hub.publish('user.a', 4)).localSubscribers).toBe(1)
      expect([...hub.channel('user.secret').subscribers]).toEqual([])
      expect([...hub.channel('user.a').subscribers]).toHaveLength(1)
    })

    it('keeps the order while one channel is being decided', async () => {
      const answers = new Map<string, (verdict: boolean) => void>()
      const { hub, url } = await serving((_req, [channel]) =>
        channel === 'u.*' ? true : new Promise((resolve) => answers.set(channel!, resolve)),
      )
      const s = await open(url, '/channels?channel=u.*&channel=news')
      await s.next()
      const asked = async (channel: string): Promise<void> => until(() => answers.has(channel))
      await hub.publish('news', 'before')
      expect((await s.next()).data).toBe('before')
      await hub.publish('u.a', 'one')
      await hub.publish('news', 'two')
      await asked('u.a')
      await hub.publish('u.a', 'three')
      answers.get('u.a')!(true)
      expect([(await s.next()).data, (await s.next()).data, (await s.next()).data]).toEqual(['one', 'two', 'three'])
    })

    it('asks for nothing that was asked for by name', async () => {
      const asked: string[] = []
      const { hub, url } = await serving((_req, [channel]) => {
        asked.push(channel!)
        return true
      })
      const s = await open(url, '/channels?channel=u.a&channel=u.*')
      await s.next()
      await hub.publish('u.a', 1)
      await s.next()
      expect(asked).toEqual(['u.a'])
    })

    it('decides on replayed events too, and drops gaps of denied channels', async () => {
      const broker = lib.memoryBroker({ history: { maxEvents: 1 } })
      const { hub, url } = await serving((_req, [channel]) => channel !== 'u.secret', { broker })
      const { id } = await hub.publish('start', 0)
      for (const n of [1, 2]) for (const channel of ['u.a', 'u.secret']) await hub.publish(channel, `${channel} ${n}`)
      const s = await open(url, '/channels/u.*', { lastEventId: id })
      await s.next()
      expect((await s.next()).json()).toMatchObject({ reason: 'trimmed', channels: ['u.a'] })
      expect((await s.next()).data).toBe('u.a 2')
      await hub.publish('u.a', 'live')
      expect((await s.next()).data).toBe('live')
      expect(s.text()).not.toContain('secret')
    })

    it('sends only the position if all events are denied', async () => {
      const { hub, url } = await serving((_req, [channel]) => channel !== 'u.secret')
      const { id } = await hub.publish('start', 0)
      await hub.publish('u.secret', 'hidden')
      const s = await open(url, '/channels/u.*', { lastEventId: id })
      expect(await s.next()).toMatchObject({ event: 'hub.open', id })
      await hub.publish('u.b', 'b')
      expect((await s.next()).data).toBe('b')
    })

    it('denies a channel for which the hook throws a 4xx', async () => {
      const { hub, url, failures } = await serving((_req, [channel]) => {
        if (channel === 'u.secret') throw Object.assign(new Error('no'), { status: 404 })
        return true
      })
      const s = await open(url, '/channels/u.*')
      await s.next()
      await hub.publish('u.secret', 'hidden')
      await hub.publish('u.a', 'a')
      expect((await s.next()).data).toBe('a')
      expect(failures).toEqual([])
    })

    it('closes the stream with error when the hook fails, so that nothing is skipped', async () => {
      const { hub, url, failures } = await serving((_req, [channel]) => {
        if (channel === 'u.x') throw new Error('database')
        return true
      })
      const reasons: unknown[] = []
      hub.on('unsubscribe', (_subscription, reason) => reasons.push(reason))
      const s = await open(url, '/channels/u.*')
      await s.next()
      await hub.publish('u.a', 'a')
      // Bytes in flight may be lost with the connection.
      expect((await s.next()).data).toBe('a')
      await hub.publish('u.x', 'x')
      await s.ended
      expect(reasons).toEqual(['error'])
      await until(() => failures.length > 0)
      expect(failures).toEqual([expect.objectContaining({ message: 'database' })])
      // The error is not sent; the client resumes at its position.
      expect(s.text()).not.toMatch(/database|hub\.closed/)
    })

    it('asks the client to reconnect when it fails on a replayed event', async () => {
      const { hub, url } = await serving((_req, [channel]) => {
        if (channel === 'u.x') throw new Error('database')
        return true
      })
      const { id } = await hub.publish('u.x', 1)
      await hub.publish('u.x', 2)
      const s = await open(url, '/channels/u.*', { lastEventId: id })
      expect(await s.next()).toMatchObject({ event: 'hub.closed', data: '{"reason":"overloaded"}' })
      expectProblem(await ask(url, `/channels/u.*?lastEventId=${id}`), 503, 'ERR_SSE_OVERLOADED')
    })

    it('closes it when the hook takes over 10 s', async () => {
      const clock = manualClock()
      let asked = false
      const { hub, url, failures } = await serving(
        (_req, [channel]) => {
          if (channel !== 'u.x') return true
          asked = true
          return new Promise(() => {})
        },
        { clock },
      )
      const s = await open(url, '/channels/u.*')
      await s.next()
      await hub.publish('u.x', 1)
      await until(() => asked)
      clock.advance(9_999)
      expect(hub.stats().streams).toBe(1)
      clock.advance(1)
      await s.ended
      await until(() => failures.length > 0)
      expect(failures).toEqual([expect.objectContaining({ message: expect.stringContaining('u.x') })])
      expect(hub.stats().closes.error).toBe(1)
    })

    it('ends with the first permission that does', async () => {
      const clock = manualClock()
      const { hub, url } = await serving(
        (_req, [channel]) => {
          if (channel === 'u.soon') return { until: new Date(clock.now() + 1_000) }
          return { until: new Date(clock.now() + 100_000) }
        },
        { clock },
      )
      const s = await open(url, '/channels/u.*')
      await s.next()
      await hub.publish('u.late', 1)
      await s.next()
      await hub.publish('u.soon', 2)
      await s.next()
      clock.advance(1_000)
      expect((await s.next({ type: 'hub.closed' })).data).toBe('{"reason":"expired"}')
      await s.ended
    })

    it('remembers 1,000 decisions, the least recently used forgotten first', async () => {
      const asked: string[] = []
      const { hub, url } = await serving((_req, [channel]) => {
        asked.push(channel!)
        return true
      })
      const s = await open(url, '/channels/u.*')
      await s.next()
      const say = async (name: string): Promise<void> => {
        await hub.publish(`u.${name}`, name)
        expect((await s.next()).data).toBe(name)
      }
      await say('first')
      await say('second')
      for (let from = 0; from < 997; from += 100) {
        const names = Array.from({ length: Math.min(100, 997 - from) }, (_, i) => `n${from + i}`)
        await hub.publishAll(names.map((name) => ({ channel: `u.${name}`, data: name })))
        for (const name of names) expect((await s.next()).data).toBe(name)
      }
      await say('first')
      // Two more than there is room for: `second` is the oldest now, then `n0`.
      await say('x')
      await say('y')
      asked.length = 0
      await say('first')
      expect(asked).toEqual([])
      await say('second')
      expect(asked).toEqual(['u.second'])
    })
  })
})
