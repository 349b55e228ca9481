import { describe, expect, it } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { resolveSqliteOptions } from '../../src/broker/sqlite/options.ts'
import { SqliteLogBroker } from '../../src/broker/sqlite/sqlite-broker.ts'
import { pattern } from '../../src/channel-name.ts'
import type { HistoryOptions, HubOptions, Subscription } from '../../src/index.ts'
import { memoryBroker, sse } from '../../src/index.ts'
import type { OpenStream } from '../../src/testing/index.ts'
import { temporaryFile } from '../broker/sqlite/support.ts'
import { WORKER_BUILT } from '../broker/sqlite/thread/built-workers.ts'
import { appWith, flavours, makeHub, open, serve, until } from './support.ts'

const five = flavours[0]!

function sqlite(file: string, history: HistoryOptions): Broker {
  return new SqliteLogBroker({ ...resolveSqliteOptions({ file, history }), worker: WORKER_BUILT })
}

/** An application: it writes its state before it publishes the new value. */
async function serving(
  broker: Broker,
  { hubOptions = {}, router }: { hubOptions?: HubOptions; router?: Parameters<typeof appWith>[2] } = {},
) {
  const hub = makeHub(five.lib, { broker, ...hubOptions })
  const errors: unknown[] = []
  hub.on('error', (error) => void errors.push(error))
  const rows = new Map<string, unknown>()
  const calls: string[] = []
  const state = (channel: string) => {
    calls.push(channel)
    return rows.get(channel) ?? null
  }
  const change = (channel: string, data: unknown) => {
    rows.set(channel, data)
    return hub.publish(channel, data)
  }
  await hub.ready()
  return { hub, errors, rows, calls, state, change, url: await serve(appWith(five, hub, router)) }
}

/** The next events, each as its type, its ID and its data. */
async function take(stream: OpenStream, count: number) {
  const taken: [event: string, id: string | undefined, data: unknown][] = []
  for (let i = 0; i < count; i++) {
    const { event, id, json } = await stream.next()
    taken.push([event, id, json()])
  }
  return taken
}

const OPEN = (resumed = false) => ['hub.open', undefined, expect.objectContaining({ resumed })]
const RESUMED = (id: string | undefined) => ['hub.open', id, expect.objectContaining({ resumed: true })]
const snapshot = (channel: string, data: unknown) => ({ channel, data })

describe.each<[string, (history?: HistoryOptions) => Broker]>([
  ['memory', (history = {}) => memoryBroker({ history })],
  ['SQLite', (history = {}) => sqlite(temporaryFile(), history)],
])('snapshots of channels in %s', (_name, makeBroker) => {
  it('come first, with the only ID; a client that resumes from it gets the events alone', async () => {
    const { hub, state, change, calls, url } = await serving(makeBroker())
    hub.snapshot('cart', state)
    const { id } = await change('cart', 1)
    const stream = await open(url, '/channels/cart')
    expect(await take(stream, 2)).toEqual([OPEN(), ['hub.snapshot', id, snapshot('cart', 1)]])
    const { id: second } = await change('cart', 2)
    expect(await take(stream, 1)).toEqual([['message', second, 2]])
    await stream.reconnect()
    await change('cart', 3)
    expect(await take(stream, 2)).toEqual([RESUMED(second), ['message', expect.any(String), 3]])
    expect(calls).toHaveLength(1)
  })

  it('take the place of a trimmed gap', async () => {
    const { hub, state, change, url } = await serving(makeBroker({ maxEvents: 2 }))
    hub.snapshot('cart', state)
    const position = await hub.position()
    for (let i = 1; i <= 5; i++) {
      await change('cart', i)
      await hub.publish('news', i)
    }
    const stream = await open(url, '/channels?channel=cart&channel=news', { lastEventId: position })
    const events = await take(stream, 2)
    expect(events[0]![0]).toBe('hub.open')
    // The loss of the ordinary channel is reported, that of the state channel is made up for.
    const at = stream.text()
    const rest: unknown[][] = [events[1]!]
    while (rest.at(-1)![2] !== 5 || rest.at(-1)![1] !== (await hub.position())) rest.push((await take(stream, 1))[0]!)
    expect(at).toContain('hub.open')
    expect(rest.filter(([event]) => event === 'hub.snapshot').map(([, , data]) => data)).toEqual([snapshot('cart', 5)])
    const gaps = rest.filter(([event]) => event === 'hub.gap').map(([, , data]) => data)
    expect(gaps).toEqual([expect.objectContaining({ reason: 'trimmed', channels: ['news'] })])
    // The snapshot has every event of its channel.
    expect(rest.filter(([event]) => event === 'message').map(([, , data]) => data)).toEqual([4, 5])
  })

  it('are asked for by ?snapshot=1 with a position in the query, not with the header', async () => {
    const { hub, state, change, url } = await serving(makeBroker())
    hub.snapshot('cart', state)
    const { id } = await change('cart', 1)
    const plain = await open(url, `/channels/cart?lastEventId=${id}`)
    expect(await take(plain, 1)).toEqual([RESUMED(id)])
    const path = `/channels/cart?snapshot=1&lastEventId=${id}`
    const asking = await open(url, path)
    expect(await take(asking, 2)).toEqual([OPEN(true), ['hub.snapshot', id, snapshot('cart', 1)]])
    const header = await open(url, path, { lastEventId: id })
    expect(await take(header, 1)).toEqual([RESUMED(id)])
    const { id: second } = await change('cart', 2)
    expect(await take(header, 1)).toEqual([['message', second, 2]])
  })

  it('are turned off by ?snapshot=0', async () => {
    const { hub, state, change, calls, url } = await serving(makeBroker({ maxEvents: 1 }))
    hub.snapshot('cart', state)
    const position = await hub.position()
    const first = await open(url, '/channels/cart?snapshot=0')
    expect(await take(first, 1)).toEqual([['hub.open', position, expect.objectContaining({ resumed: false })]])
    for (let i = 1; i <= 3; i++) await change('cart', i)
    expect((await take(first, 3)).map(([, , data]) => data)).toEqual([1, 2, 3])
    const late = await open(url, '/channels/cart?snapshot=0', { lastEventId: position })
    expect((await take(late, 3)).map(([event]) => event)).toEqual(['hub.open', 'hub.gap', 'message'])
    expect(calls).toEqual([])
  })

  it('are null for a deleted state, and absent for a channel whose function returns undefined', async () => {
    const { hub, state, url } = await serving(makeBroker({ maxEvents: 1 }))
    hub.snapshot(pattern('cart.*'), (channel) => (channel === 'cart.none' ? undefined : state(channel)))
    const position = await hub.position()
    const deleted = await open(url, '/channels/cart.1')
    expect(await take(deleted, 2)).toEqual([OPEN(), ['hub.snapshot', position, snapshot('cart.1', null)]])
    const none = await open(url, '/channels/cart.none')
    expect(await take(none, 1)).toEqual([['hub.open', position, expect.anything()]])
    for (let i = 1; i <= 3; i++) await hub.publish('cart.none', i)
    expect((await take(none, 3)).map(([, , data]) => data)).toEqual([1, 2, 3])
    const late = await open(url, '/channels/cart.none', { lastEventId: position })
    expect((await take(late, 3)).map(([event]) => event)).toEqual(['hub.open', 'hub.gap', 'message'])
  })

  it('of a pattern come after its list, without the channels that the hook denies', async () => {
    const router = {
      channels: ['cart.*'],
      subscribe: (_req: unknown, channels: readonly string[]) => !channels.includes('cart.secret'),
    }
    const { hub, state, rows, calls, url } = await serving(makeBroker(), { router })
    hub.snapshot(pattern('cart.*'), state, { list: () => rows.keys() })
    for (const [i, name] of ['cart.1', 'cart.secret', 'cart.2'].entries()) rows.set(name, i)
    const position = await hub.position()
    const stream = await open(url, '/channels/cart.*')
    expect(await take(stream, 4)).toEqual([
      OPEN(),
      ['hub.list', undefined, { pattern: 'cart.*', channels: ['cart.1', 'cart.2'] }],
      ['hub.snapshot', undefined, snapshot('cart.1', 0)],
      ['hub.snapshot', position, snapshot('cart.2', 2)],
    ])
    expect(calls).not.toContain('cart.secret')
    rows.clear()
    const empty = await open(url, '/channels/cart.*')
    expect(await take(empty, 2)).toEqual([OPEN(), ['hub.list', position, { pattern: 'cart.*', channels: [] }]])
  })

  it.each<[string, () => unknown, string]>([
    ['throws', () => Promise.reject(new Error('no database')), 'no database'],
    ['returns too much', () => 'x'.repeat(9_000), 'at most 8192 bytes (8 × `maxEventBytes`)'],
    ['returns no data', () => () => {}, 'must be data that JSON has a text for'],
  ])('of a function that %s close the stream, and report it', async (_what, result, message) => {
    const { hub, errors, url } = await serving(makeBroker(), { hubOptions: { maxEventBytes: 1_024 } })
    let call = () => result()
    hub.snapshot('cart', () => call(), { maxAgeMs: 0 })
    const stream = await open(url, '/channels/cart')
    await stream.ended
    expect(stream.text()).not.toContain('event: hub.snapshot')
    expect(stream.text()).not.toMatch(/^id:/m)
    await until(() => errors.length > 0)
    expect(errors.map(String)).toEqual([expect.stringContaining(message)])
    // The client comes back, and so has the database.
    call = () => 'state'
    await stream.reconnect()
    expect(await take(stream, 2)).toEqual([OPEN(), ['hub.snapshot', await hub.position(), snapshot('cart', 'state')]])
  })

  it('of 200 clients without a position take at most 3 calls', async () => {
    const { hub, change, url } = await serving(makeBroker())
    let calls = 0
    let release = () => {}
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    hub.snapshot('cart', async () => {
      calls++
      await held
      return { calls }
    })
    await change('cart', 1)
    const opening = Promise.all(Array.from({ length: 200 }, () => open(url, '/channels/cart')))
    await until(() => hub.stats().streams === 200)
    release()
    for (const stream of await opening) {
      const events = await take(stream, 2)
      expect(events[1]).toEqual(['hub.snapshot', await hub.position(), snapshot('cart', { calls: expect.any(Number) })])
    }
    expect(calls).toBeLessThanOrEqual(3)
  })

  it('of a channel that is added are written before add() resolves', async () => {
    const hub = makeHub(five.lib, { broker: makeBroker() })
    await hub.ready()
    hub.snapshot('cart', () => 'state')
    let subscription: Subscription | undefined
    const app = five.express().use(sse())
    app.get('/', async (_req, res) => {
      subscription = await hub.subscribe(res.sse, 'news')
    })
    const stream = await open(await serve(app), '/')
    const { id } = await stream.next()
    await until(() => subscription !== undefined)
    await subscription!.add('cart')
    expect(subscription!.position).toBe(id)
    expect(await take(stream, 1)).toEqual([['hub.snapshot', id, snapshot('cart', 'state')]])
    const { id: next } = await hub.publish('cart', { changed: true })
    expect(await take(stream, 1)).toEqual([['message', next, { changed: true }]])
  })

  it('are yielded by events()', async () => {
    const { hub, state, change, rows } = await serving(makeBroker())
    hub.snapshot(pattern('cart.*'), state, { list: () => rows.keys() })
    const { id } = await change('cart.1', 1)
    const events = hub.events(pattern('cart.*'))
    expect((await events.next()).value).toEqual({
      snapshot: true,
      channel: 'cart.*',
      channels: ['cart.1'],
      data: null,
      id,
    })
    expect((await events.next()).value).toEqual({ snapshot: true, channel: 'cart.1', data: 1, id })
    const { id: second } = await change('cart.1', 2)
    expect((await events.next()).value).toMatchObject({ channel: 'cart.1', data: 2, id: second })
    await events.return!()
    const off = hub.events('cart.1', { snapshot: false })
    const first = off.next()
    await hub.position()
    await change('cart.1', 3)
    expect((await first).value).toMatchObject({ data: 3 })
    await off.return!()
  })
})

describe('a log that was opened again', () => {
  it('has its events in a SQLite file, and the state is due all the same', async () => {
    const file = temporaryFile()
    const first = await serving(sqlite(file, {}))
    first.hub.snapshot('cart', first.state)
    const { id } = await first.change('cart', 1)
    await first.hub.publish('news', 1)
    await first.hub.close()
    const { hub, rows, state, url } = await serving(sqlite(file, {}))
    hub.snapshot('cart', state)
    // Written to the database, and never published: the process ended between the two.
    rows.set('cart', 2)
    const news = await open(url, '/channels/news', { lastEventId: id })
    expect((await take(news, 2)).map(([, , data]) => data)).toEqual([expect.objectContaining({ resumed: true }), 1])
    const cart = await open(url, '/channels/cart', { lastEventId: id })
    const [opened, received] = await take(cart, 2)
    expect(opened).toEqual(OPEN(true))
    expect(received).toEqual(['hub.snapshot', expect.any(String), snapshot('cart', 2)])
    // A position of the new life resumes.
    const { id: changed } = await hub.publish('cart', 3)
    expect(await take(cart, 1)).toEqual([['message', changed, 3]])
    await cart.reconnect()
    expect(await take(cart, 1)).toEqual([RESUMED(changed)])
  })

  it('is a new log in memory: the snapshot takes the place of the gap', async () => {
    const { hub, state, rows, url } = await serving(memoryBroker())
    hub.snapshot('cart', state)
    rows.set('cart', 1)
    const cart = await open(url, '/channels/cart', { lastEventId: 'aaaaaa.5' })
    expect(await take(cart, 2)).toEqual([OPEN(), ['hub.snapshot', await hub.position(), snapshot('cart', 1)]])
    const both = await open(url, '/channels?channel=cart&channel=news', { lastEventId: 'aaaaaa.5' })
    expect(await take(both, 3)).toEqual([
      OPEN(),
      ['hub.gap', undefined, expect.objectContaining({ reason: 'unknown-epoch', channels: ['news'] })],
      ['hub.snapshot', await hub.position(), snapshot('cart', 1)],
    ])
  })
})
