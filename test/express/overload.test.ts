import { describe, expect, it } from 'vitest'
import type { Broker, ChannelHub, HubOptions } from '../../src/index.ts'
import { type ManualClock, manualClock } from '../../src/testing/index.ts'
import {
  type Answer,
  appWith,
  ask,
  brokerWith,
  EVENT_STREAM,
  expectOverload,
  expectProblem,
  flavours,
  makeHub,
  open,
  post,
  serve,
  until,
} from './support.ts'

const NEVER = new Promise<never>(() => {})

describe.each(flavours)('overload, Express $version', (flavour) => {
  const { lib } = flavour

  /** A hub that cannot serve a stream now, and what makes it answer. */
  interface Trouble {
    readonly hub?: (clock: ManualClock) => HubOptions
    readonly router?: Partial<Parameters<ChannelHub['router']>[0]>
    readonly before?: (hub: ChannelHub, url: string) => Promise<unknown>
    /** Called when the request waits. */
    readonly meanwhile?: (clock: ManualClock) => void
    readonly code: string
    /** Whether the hub reports a failure, and not only a refusal. */
    readonly fails?: boolean
  }

  const broken = (parts: Partial<Broker>) => () => ({ broker: brokerWith(parts, lib) })
  const unavailable = () => Promise.reject(new lib.SseError('ERR_SSE_BROKER_UNAVAILABLE', 'The log is away.'))
  const failed = () => Promise.reject(new Error('secret'))

  const troubles: Record<string, Trouble> = {
    'all streams are taken (maxStreams)': {
      hub: () => ({ maxStreams: 1 }),
      before: (_hub, url) => open(url, '/channels/news').then((s) => s.next()),
      code: 'ERR_SSE_OVERLOADED',
    },
    'all streams of the address are taken (maxStreamsPerAddress)': {
      hub: () => ({ maxStreamsPerAddress: 1 }),
      before: (_hub, url) => open(url, '/channels/news').then((s) => s.next()),
      code: 'ERR_SSE_OVERLOADED',
    },
    'the hub is closing': { before: (hub) => hub.close(), code: 'ERR_SSE_HUB_CLOSED' },
    'the hook throws': {
      router: {
        subscribe() {
          throw new Error('secret')
        },
      },
      code: 'ERR_SSE_OVERLOADED',
      fails: true,
    },
    'the hook throws nothing': {
      router: { subscribe: () => Promise.reject() },
      code: 'ERR_SSE_OVERLOADED',
      fails: true,
    },
    'the hook rejects': { router: { subscribe: failed }, code: 'ERR_SSE_OVERLOADED', fails: true },
    'the hook rejects with a 5xx': {
      router: { subscribe: () => Promise.reject(Object.assign(new Error('secret'), { status: 503 })) },
      code: 'ERR_SSE_OVERLOADED',
      fails: true,
    },
    'the hook returns an until that is not a date': {
      router: { subscribe: () => ({ until: 'tomorrow' as unknown as Date }) },
      code: 'ERR_SSE_OVERLOADED',
      fails: true,
    },
    'the hook gives an invalid date': {
      router: { subscribe: () => ({ until: new Date(Number.NaN) }) },
      code: 'ERR_SSE_OVERLOADED',
      fails: true,
    },
    'the broker does not come up': { hub: broken({ start: unavailable }), code: 'ERR_SSE_BROKER_UNAVAILABLE' },
    'the broker does not start, with its own error': {
      hub: broken({ start: failed }),
      code: 'ERR_SSE_BROKER_UNAVAILABLE',
      fails: true,
    },
    'the broker refuses the subscription': {
      hub: broken({ subscribe: unavailable }),
      code: 'ERR_SSE_BROKER_UNAVAILABLE',
    },
    'the broker fails at the subscription': {
      hub: broken({ subscribe: failed }),
      code: 'ERR_SSE_BROKER_UNAVAILABLE',
      fails: true,
    },
    'the broker does not come up within 5 s': {
      hub: (clock) => ({ broker: brokerWith({ start: () => NEVER }, lib), clock }),
      meanwhile: (clock) => clock.advance(5_000),
      code: 'ERR_SSE_OVERLOADED',
    },
    'the broker does not subscribe within 5 s': {
      hub: (clock) => ({ broker: brokerWith({ subscribe: () => NEVER }, lib), clock }),
      meanwhile: (clock) => clock.advance(5_000),
      code: 'ERR_SSE_OVERLOADED',
    },
    'the first read is not answered within 5 s': {
      hub: (clock) => ({ broker: brokerWith({ read: () => NEVER }, lib), clock }),
      meanwhile: (clock) => clock.advance(5_000),
      code: 'ERR_SSE_OVERLOADED',
    },
    'no first read succeeds within 5 s': {
      hub: (clock) => ({ broker: brokerWith({ read: failed }, lib), clock }),
      meanwhile: (clock) => clock.advance(5_000),
      code: 'ERR_SSE_OVERLOADED',
      fails: true,
    },
  }

  describe.each(Object.entries(troubles))('%s', (_name, { hub: options, router, before, meanwhile, code, fails }) => {
    async function trouble(headers: Record<string, string>, method = 'GET'): Promise<Answer> {
      const clock = manualClock()
      const given = options?.(clock) ?? {}
      const hub = makeHub(lib, given)
      const failures: unknown[] = []
      const refusals: string[] = []
      hub.on('error', (error) => failures.push(error))
      hub.on('refused', (refused) => refusals.push(refused.code))
      const url = await serve(appWith(flavour, hub, { channels: ['>'], ...router }))
      await before?.(hub, url)
      const answer = ask(url, '/channels/news?rewind=0', { headers, method })
      if (meanwhile !== undefined && method !== 'HEAD') {
        await until(() => hub.stats().subscriptions === 1)
        meanwhile(clock)
      }
      const result = await answer
      if (method !== 'HEAD') expect(refusals).toEqual([code])
      if (fails && method !== 'HEAD') await until(() => failures.length > 0)
      expect(hub.stats().resumed.new).toBeLessThanOrEqual(1)
      return result
    }

    it.each(['text/event-stream', 'text/html, text/event-stream;q=0.1'])(
      'asks a client that names the event stream type (%s) to reconnect',
      async (accept) => {
        const answer = await trouble({ accept })
        expectOverload(answer)
        expect(answer.body).not.toContain('secret')
      },
    )

    it.each([{ accept: '*/*' }, {}, { accept: 'text/*' }] as Record<string, string>[])(
      'answers a client with %o with 503',
      async (headers) => {
        const answer = await trouble(headers)
        expectProblem(answer, 503, code)
        expect(answer.body).not.toContain('secret')
      },
    )
  })

  it('of HEAD looks like that of GET, where the checks are the same', async () => {
    const hub = makeHub(lib, { maxStreams: 1 })
    const url = await serve(appWith(flavour, hub))
    await open(url, '/channels/news').then((s) => s.next())
    expect(await ask(url, '/channels/news', { method: 'HEAD', headers: EVENT_STREAM })).toMatchObject({
      status: 200,
      body: '',
    })
    expect(await ask(url, '/channels/news', { method: 'HEAD' })).toMatchObject({ status: 503, body: '' })
    await hub.close()
    expect(await ask(url, '/channels/news', { method: 'HEAD', headers: EVENT_STREAM })).toMatchObject({
      status: 200,
      body: '',
    })
    expect(await ask(url, '/channels/news', { method: 'HEAD' })).toMatchObject({ status: 503, body: '' })
  })

  it('is not reported if the client left before the hook failed', async () => {
    const hub = makeHub(lib)
    let fail!: (error: Error) => void
    let left!: () => void
    const gone = new Promise<void>((resolve) => {
      left = resolve
    })
    const app = appWith(flavour, hub, {
      channels: ['>'],
      subscribe(req) {
        req.res!.on('close', left)
        return new Promise((_, reject) => {
          fail = reject
        })
      },
    })
    const failures: unknown[] = []
    hub.on('error', (error) => failures.push((error as Error).message))
    const leaving = new AbortController()
    const response = fetch(`${await serve(app)}/channels/a`, { signal: leaving.signal }).catch(() => {})
    await until(() => fail !== undefined)
    leaving.abort()
    await Promise.all([response, gone])
    fail(new Error('late'))
    await until(() => failures.length === 1)
    expect(failures).toEqual(['late'])
  })

  it('ends when a client leaves', async () => {
    const hub = makeHub(lib, { maxStreams: 1, maxStreamsPerAddress: 1 })
    const url = await serve(appWith(flavour, hub))
    const first = await open(url, '/channels/news')
    await first.next()
    expectOverload(await ask(url, '/channels/news', { headers: EVENT_STREAM }))
    first.drop()
    await until(() => hub.stats().streams === 0)
    await open(url, '/channels/news').then((s) => s.next({ type: 'hub.open' }))
  })

  it('has the reconnection time of sse()', async () => {
    const hub = makeHub(lib)
    const app = flavour.express()
    app.use(lib.sse({ retryMs: 60_000 }), hub.router({ channels: ['>'] }))
    await hub.close()
    const { body } = await ask(await serve(app), '/news', { headers: EVENT_STREAM })
    expect(Number(/^retry: (\d+)/.exec(body)![1])).toBeGreaterThanOrEqual(60_000)
  })

  describe('maxStreamsPerAddress', () => {
    it.each([
      ['203.0.113.1', '203.0.113.1', true],
      ['203.0.113.1', '203.0.113.2', false],
      ['203.0.113.1', '::ffff:203.0.113.1', true],
      ['2001:db8:1:2::1', '2001:db8:1:2:ffff:ffff:ffff:ffff', true],
      ['2001:db8:1:2::1', '2001:DB8:0001:0002::', true],
      ['2001:db8::1', '2001:db8:0:0:8000::1', true],
      ['2001:db8:1:2::1', '2001:db8:1:3::1', false],
      ['2001:db8::1', '2001:db8:0:1::', false],
      ['::1', '::2', true],
      ['::1', '0:0:0:1::', false],
      ['1:2:3:4:5:6:7:8', '1:2:3:4::', true],
      ['fe80::1%eth0', 'fe80::2', true],
      ['unknown', 'unknown', true],
      ['unknown', 'elsewhere', false],
    ])('counts %s and %s as one: %s', async (a, b, same) => {
      const hub = makeHub(lib, { maxStreamsPerAddress: 1 })
      const app = appWith(flavour, hub)
      app.set('trust proxy', true)
      const url = await serve(app)
      await open(url, '/channels/news', { headers: { 'x-forwarded-for': a } }).then((s) => s.next())
      const answer = await open(url, '/channels/news', { headers: { 'x-forwarded-for': b } })
      expect((await answer.next()).event).toBe(same ? 'hub.closed' : 'hub.open')
    })

    it('uses a forwarded address only if the app trusts the proxy', async () => {
      const hub = makeHub(lib, { maxStreamsPerAddress: 1 })
      const url = await serve(appWith(flavour, hub))
      await open(url, '/channels/news', { headers: { 'x-forwarded-for': '203.0.113.1' } }).then((s) => s.next())
      const headers = { ...EVENT_STREAM, 'x-forwarded-for': '203.0.113.2' }
      expectOverload(await ask(url, '/channels/news', { headers }))
    })

    it('holds without Express, by the address of the peer', async () => {
      const hub = makeHub(lib, { maxStreamsPerAddress: 1 })
      const url = await serve((req, res) => {
        hub.subscribe(lib.eventStream(req, res), 'news')
      })
      await open(url, '/').then((s) => s.next())
      expectOverload(await ask(url, '/', { headers: EVENT_STREAM }))
    })

    it('holds for streams of own routes as well', async () => {
      const hub = makeHub(lib, { maxStreamsPerAddress: 1 })
      const app = flavour.express()
      app.use(lib.sse())
      app.get('/me', (_req, res) => hub.subscribe(res.sse, 'news'))
      const url = await serve(app)
      await open(url, '/me').then((s) => s.next())
      expectOverload(await ask(url, '/me', { headers: EVENT_STREAM }))
      expectProblem(await ask(url, '/me'), 503, 'ERR_SSE_OVERLOADED')
    })
  })

  describe('POST', () => {
    it.each(['ERR_SSE_BROKER_UNAVAILABLE', 'ERR_SSE_PUBLISH_UNKNOWN'] as const)(
      '%s is 503 with Retry-After',
      async (code) => {
        const detail = 'The disk is full.'
        const hub = makeHub(lib, {
          broker: brokerWith({ publish: () => Promise.reject(new lib.SseError(code, detail)) }, lib),
        })
        const url = await serve(appWith(flavour, hub))
        const told = expectProblem(await post(url, '/channels/news', '1'), 503, code)
        // What the broker says is for the operator.
        expect(told).not.toContain('disk')
      },
    )

    it('says that a retry needs the same key when the hub gave up on the broker', async () => {
      const clock = manualClock()
      let asked = false
      const publish = () => {
        asked = true
        return NEVER
      }
      const hub = makeHub(lib, { clock, broker: brokerWith({ publish }, lib) })
      const url = await serve(appWith(flavour, hub))
      const answer = post(url, '/channels/news', '1')
      await until(() => asked)
      const closed = hub.close({ timeoutMs: 1_000 })
      await until(() => {
        clock.advance(1_000)
        return clock.pendingTimers === 0
      })
      await closed
      expect(expectProblem(await answer, 503, 'ERR_SSE_PUBLISH_UNKNOWN')).toMatch(/same key/)
    })

    it('of a broker that fails with its own error goes to next', async () => {
      const hub = makeHub(lib, { broker: brokerWith({ publish: () => Promise.reject(new Error('secret')) }, lib) })
      const app = appWith(flavour, hub)
      app.use(((error, _req, res, _next) => {
        res.status(500).send(error.message === 'secret' ? 'handled' : 'other')
      }) as import('express').ErrorRequestHandler)
      expect(await post(await serve(app), '/channels/news', '1')).toMatchObject({ status: 500, body: 'handled' })
    })
  })
})
