import type { Socket } from 'node:net'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { pattern } from '../../src/channel-name.ts'
import type { RouterOptions, SseOptions, Subscription } from '../../src/index.ts'
import { responseStreamOf } from '../../src/stream/http-event-stream.ts'
import { manualClock } from '../../src/testing/index.ts'
import { RawClient } from '../support/raw-client.ts'
import { flavours, makeHub, open, post, serve } from './support.ts'

const SOON = { timeout: 15_000, interval: 5 }
const LET_GO: RouterOptions = { channels: ['>'], publish: 'anyone', letGo: true }

type Parsed = Socket & { parser?: unknown; _httpMessage?: unknown }

async function turns(): Promise<void> {
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe.each(flavours)('streams that let go, with Express $version', ({ express, lib }) => {
  /** A hub behind a router, and the sockets of its clients in their order. */
  async function up(options: RouterOptions = LET_GO, hub = makeHub(lib), sse?: SseOptions) {
    const app = express()
    const sockets: Socket[] = []
    app.use((req, _res, next) => {
      if (req.method === 'GET') sockets.push(req.socket)
      next()
    })
    if (sse !== undefined) app.use(lib.sse(sse))
    app.get('/own', (_req, res) => void hub.subscribe(res.sse, 'a'))
    app.use('/channels', hub.router(options))
    const url = await serve(app)
    const isLetGo = async (at: number) => {
      await turns()
      const socket = sockets[at] as Parsed
      return socket.parser === null && socket._httpMessage === null
    }
    const letGo = (at: number) => vi.waitFor(async () => expect(await isLetGo(at)).toBe(true), SOON)
    return { hub, url, isLetGo, letGo, sockets }
  }

  it('are delivered to once and in order, whatever was replayed before', async () => {
    const { hub, url, letGo } = await up()
    for (let i = 0; i < 3; i++) await hub.publish('a', i)
    const stream = await open(url, '/channels/a?rewind=2')
    await letGo(0)
    await post(url, '/channels/a', '3')
    for (let i = 4; i < 200; i++) hub.publish('a', i)
    expect((await stream.next({ type: 'hub.open' })).json()).toMatchObject({ resumed: false })
    for (let i = 1; i < 200; i++) expect((await stream.next()).json()).toBe(i)
    await stream.reconnect()
    await letGo(1)
    hub.publish('a', 200)
    expect((await stream.next({ type: 'hub.open' })).json()).toMatchObject({ resumed: true })
    expect((await stream.next()).json()).toBe(200)
    stream.drop()
    await vi.waitFor(() => expect(hub.stats().streams).toBe(0), SOON)
  })

  it('receive gaps for trimmed events', async () => {
    const { url, letGo, hub } = await up()
    await hub.publish('a', 1)
    const stream = await open(url, '/channels/a', { lastEventId: 'other.1' })
    await letGo(0)
    expect((await stream.next({ type: 'hub.gap' })).json()).toMatchObject({ reason: expect.any(String) })
    await hub.publish('a', 2)
    expect((await stream.next()).json()).toBe(2)
  })

  it('fall behind and catch up', async () => {
    const hub = makeHub(lib, { highWaterMarkBytes: 16_384 })
    const { url, letGo } = await up(LET_GO, hub)
    const lagging = vi.fn()
    hub.on('lagging', lagging)
    using client = await RawClient.connect(Number(new URL(url).port))
    client.request('GET /channels/a', 'Accept: text/event-stream')
    await client.until('hub.open')
    await letGo(0)
    client.socket.pause()
    const text = 'x'.repeat(100_000)
    for (let i = 0; i < 120; i++) await hub.publish('a', `${i} ${text}`)
    expect(lagging).toHaveBeenCalled()
    await hub.publish('a', 'last')
    client.socket.resume()
    await vi.waitFor(() => expect(client.socket.bytesRead).toBeGreaterThan(12_000_000), SOON)
    await vi.waitFor(() => expect(client.received.slice(-200)).toContain('data: last'), {
      timeout: 15_000,
      interval: 100,
    })
    const numbers = [...client.received.matchAll(/data: (\d+) x/g)].map((match) => Number(match[1]))
    expect(numbers).toEqual(Array.from({ length: 120 }, (_, i) => i))
    client.socket.destroy()
  })

  it('are reached by disconnect, by the end of a permission, and by the end of the hub', async () => {
    const clock = manualClock()
    const hub = makeHub(lib, { clock })
    const subscribe: NonNullable<RouterOptions['subscribe']> = (_req, [channel]) =>
      channel === 'b' ? { until: new Date(clock.now() + 60_000) } : true
    const { url, letGo } = await up({ ...LET_GO, subscribe }, hub)
    const closed = vi.fn()
    hub.on('unsubscribe', (_, reason) => closed(reason))
    const streams = [
      await open(url, '/channels/a'),
      await open(url, '/channels/b'),
      await open(url, '/channels/c'),
    ] as const
    for (let i = 0; i < 3; i++) await letGo(i)
    expect(hub.disconnect((subscription) => subscription.channels.includes('a'))).toBe(1)
    await streams[0].ended
    expect(streams[0].text()).toMatch(/event: hub\.closed\ndata: \{"reason":"revoked"\}\n\n$/)
    clock.advance(60_000)
    await streams[1].ended
    expect(streams[1].text()).toContain('"reason":"expired"')
    const end = hub.close({ timeoutMs: 0 })
    await streams[2].ended
    expect(streams[2].text()).toContain('"reason":"shutdown"')
    clock.advance(10_000)
    await end
    expect(closed.mock.calls).toEqual([['revoked'], ['expired'], ['shutdown']])
  })

  it('leave nothing behind', async () => {
    const { hub, url, sockets } = await up()
    for (let round = 0; round < 4; round++) {
      await Promise.all(
        Array.from({ length: 25 }, async (_, i) => {
          using client = await RawClient.connect(Number(new URL(url).port))
          client.request('GET /channels/a')
          await client.until('hub.open')
          if (i % 2 === 0) await turns()
          if (i % 3 === 0) client.reset()
        }),
      )
      await hub.publish('a', round)
    }
    await vi.waitFor(() => expect(hub.stats()).toMatchObject({ streams: 0, subscriptions: 0, channels: 0 }), SOON)
    await vi.waitFor(() => expect(sockets.filter((socket) => !socket.destroyed)).toEqual([]), SOON)
    expect(hub.stats().closes.client).toBe(100)
  })

  it('are those of the router, or of sse(), or of both', async () => {
    for (const [router, sse, expected] of [
      [true, undefined, true],
      [true, { letGo: false }, true],
      [false, { letGo: true }, true],
      [undefined, { letGo: true }, true],
      [undefined, {}, false],
      [undefined, undefined, false],
    ] as const) {
      const { url, isLetGo } = await up({ channels: ['>'], letGo: router }, makeHub(lib), sse)
      const stream = await open(url, '/channels/a')
      await stream.next({ type: 'hub.open' })
      expect(await isLetGo(0), JSON.stringify([router, sse])).toBe(expected)
      stream.drop()
    }
  })

  it('are those of hub.subscribe as well', async () => {
    const { url, letGo, hub } = await up(LET_GO, makeHub(lib), { letGo: true })
    const stream = await open(url, '/own')
    await letGo(0)
    await hub.publish('a', 1)
    expect((await stream.next({ type: 'message' })).json()).toBe(1)
    stream.drop()
  })

  it('are those of a channel router', async () => {
    const hub = makeHub(lib)
    const app = express()
    const sockets: Parsed[] = []
    app.use((req, _res, next) => {
      sockets.push(req.socket)
      next()
    })
    app.use('/a', hub.channel('a').router({ letGo: true }))
    const stream = await open(await serve(app), '/a')
    await stream.next({ type: 'hub.open' })
    await vi.waitUntil(() => sockets[0]!.parser === null, SOON)
    stream.drop()
  })

  describe('and a hook that is asked again for each channel of a pattern', () => {
    const asked: string[] = []
    const subscribe: NonNullable<RouterOptions['subscribe']> = (req, channels) => {
      asked.push(`${req.method} ${channels.join()}`)
      return !channels.includes('a.secret')
    }

    it('keep their request for it', async () => {
      asked.length = 0
      const { hub, url, isLetGo } = await up({ ...LET_GO, subscribe })
      const stream = await open(url, '/channels/a.*')
      await stream.next({ type: 'hub.open' })
      expect(await isLetGo(0)).toBe(false)
      await hub.publish('a.secret', 1)
      await hub.publish('a.open', 2)
      expect((await stream.next()).json()).toBe(2)
      expect(asked).toEqual(['GET a.*', 'GET a.secret', 'GET a.open'])
      stream.drop()
    })

    it('keep nothing with names alone; a pattern that is added later is denied', async () => {
      asked.length = 0
      const { hub, url, letGo } = await up({ ...LET_GO, subscribe })
      let subscription: Subscription | undefined
      hub.on('subscribe', (made) => (subscription = made))
      const stream = await open(url, '/channels/a.open')
      await letGo(0)
      await subscription!.add([pattern('a.*'), 'b'])
      await hub.publish('a.secret', 1)
      await hub.publish('a.other', 2)
      await hub.publish('b', 3)
      await hub.publish('a.open', 4)
      await stream.next({ type: 'hub.open' })
      expect([(await stream.next()).json(), (await stream.next()).json()]).toEqual([3, 4])
      expect(asked).toEqual(['GET a.open'])
      stream.drop()
    })

    it('let go with a pattern if no hook can be called', async () => {
      const { hub, url, letGo } = await up({ ...LET_GO, subscribe: 'anyone' })
      const stream = await open(url, '/channels/a.*')
      await letGo(0)
      await hub.publish('a.secret', 1)
      await stream.next({ type: 'hub.open' })
      expect((await stream.next()).json()).toBe(1)
      stream.drop()
    })
  })

  it('count for their address, even if they are subscribed after they were let go', async () => {
    const hub = makeHub(lib, { maxStreamsPerAddress: 1 })
    const app = express()
    const sockets: Parsed[] = []
    let subscribe: (() => Promise<Subscription>) | undefined
    app.use(lib.sse({ letGo: true }))
    app.get('/late', (req, res) => {
      sockets.push(req.socket)
      const { sse } = res
      sse.open()
      subscribe = () => hub.subscribe(sse, 'a')
      // What it is when the response has been collected.
      vi.spyOn(responseStreamOf(sse)!, 'response', 'get').mockReturnValue(undefined)
    })
    const url = await serve(app)
    const first = await open(url, '/late')
    await vi.waitUntil(() => sockets[0]!.parser === null, SOON)
    await subscribe!()
    const second = await open(url, '/late')
    await vi.waitUntil(() => sockets[1]!.parser === null, SOON)
    await expect(subscribe!()).rejects.toMatchObject({ code: 'ERR_SSE_OVERLOADED' })
    first.drop()
    second.drop()
  })
})

it.each(['yes', 1, null])('letGo: %j of a router is refused by name', (letGo) => {
  const hub = makeHub()
  onTestFinished(() => hub.close())
  expect(() => hub.router({ channels: ['>'], letGo: letGo as never })).toThrow(
    new TypeError(`Option \`letGo\` must be true or false, got ${JSON.stringify(letGo)}.`),
  )
})
