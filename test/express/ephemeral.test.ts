import { describe, expect, it, onTestFinished } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { resolveSqliteOptions } from '../../src/broker/sqlite/options.ts'
import { SqliteLogBroker } from '../../src/broker/sqlite/sqlite-broker.ts'
import { pattern } from '../../src/channel-name.ts'
import type { ChannelHub, HistoryOptions, PublishReceipt } from '../../src/index.ts'
import { memoryBroker } from '../../src/index.ts'
import { temporaryFile } from '../broker/sqlite/support.ts'
import { WORKER_BUILT } from '../broker/sqlite/thread/built-workers.ts'
import { appWith, ask, expectProblem, flavours, makeHub, NOBODY, open, post, serve, until } from './support.ts'

const five = flavours[0]!
const HISTORY: HistoryOptions = { maxChannels: 3, channels: { 'typing.*': { ephemeral: true } } }

const brokers: readonly (readonly [string, (history: HistoryOptions) => Broker])[] = [
  ['memory', (history) => memoryBroker({ history })],
  [
    'SQLite',
    (history) =>
      new SqliteLogBroker({ ...resolveSqliteOptions({ file: temporaryFile(), history }), worker: WORKER_BUILT }),
  ],
]

describe.each(brokers)('ephemeral channels in %s', (_name, makeBroker) => {
  async function serving(options?: Parameters<ChannelHub['router']>[0]) {
    const hub = makeHub(five.lib, { broker: makeBroker(HISTORY) })
    await hub.ready()
    return { hub, url: await serve(appWith(five, hub, options)) }
  }

  it('send events without an ID to live streams, in the order of the turn', async () => {
    const { hub, url } = await serving()
    const [plain, wrapped] = [await open(url, '/channels/>'), await open(url, '/channels/>?envelope=1')]
    const { id: start } = await plain.next()
    await wrapped.next()
    const published = [
      hub.publish('a', 1),
      hub.publish('typing.7', { who: 'ann' }, { event: 'typing', conflationKey: 'ann' }),
      hub.publish('typing.8', 'text'),
      hub.publishAll([
        { channel: 'a', data: 2 },
        { channel: 'typing.7', data: 3 },
        { channel: 'a', data: 4 },
      ]),
    ]
    const receipts = (await Promise.all(published)).flat() as PublishReceipt<string | null>[]
    const [one, two, four] = receipts.map(({ id }) => id).filter((id) => id !== null)
    expect(receipts.map(({ id }) => id)).toEqual([one, null, null, two, null, four])
    expect(receipts.every(({ duplicate, localSubscribers }) => !duplicate && localSubscribers === 2)).toBe(true)
    for (const stream of [plain, wrapped]) for (let i = 0; i < 6; i++) await stream.next()
    const blocksAfterOpen = (text: string) => text.slice(text.indexOf('\n\n', text.indexOf('hub.open')) + 2)
    expect(blocksAfterOpen(plain.text())).toBe(
      `id: ${one}\ndata: 1\n\nevent: typing\ndata: {"who":"ann"}\n\ndata: text\n\n` +
        `id: ${two}\ndata: 2\n\ndata: 3\n\nid: ${four}\ndata: 4\n\n`,
    )
    expect(blocksAfterOpen(wrapped.text())).toContain(
      '\n\ndata: {"channel":"typing.7","event":"typing","data":{"who":"ann"}}\n\n',
    )
    expect(await hub.position()).toBe(four)
    expect(start).toMatch(/\.0$/)
    expect(hub.stats()).toMatchObject({ published: 6, delivered: 12 })
  })

  it('are never replayed and never reported as missing, whatever the log has forgotten', async () => {
    const { hub, url } = await serving()
    const start = await hub.position()
    await hub.publish('typing.7', 'gone')
    // Only three names are remembered.
    for (const channel of ['a', 'b', 'c', 'd', 'e']) await hub.publish(channel, channel)
    const resumed = await open(url, '/channels?channel=typing.7&channel=typing.*', { lastEventId: start })
    await resumed.next()
    const forgotten = await open(url, '/channels?channel=x&channel=typing.7', { lastEventId: start })
    await forgotten.next()
    // 'x' may have been forgotten.
    expect((await forgotten.next()).json()).toMatchObject({ reason: 'trimmed', channels: ['x'] })
    const rewound = await open(url, '/channels/typing.7?rewind=5')
    expect((await rewound.next()).json()).toMatchObject({ rewind: { events: 0, earlier: false } })
    await hub.publish('typing.7', 'live')
    for (const stream of [resumed, forgotten, rewound]) expect((await stream.next()).data).toBe('live')
    expect(resumed.text()).not.toContain('gone')
  })

  it('leave the names that a log remembers alone', async () => {
    const { hub, url } = await serving()
    const { id } = await hub.publish('a', 1)
    for (let i = 0; i < 10; i++) await hub.publish(`typing.${i}`, i)
    await hub.publish('a', 2)
    const resumed = await open(url, '/channels/a', { lastEventId: id })
    await resumed.next()
    expect(await resumed.next()).toMatchObject({ data: '2' })
    expect(hub.stats().gaps.trimmed).toBe(0)
  })

  it('are yielded by events() only while it waits, with the position as the ID', async () => {
    const { hub } = await serving()
    const events = hub.events(['a', pattern('typing.*')])
    const first = events.next()
    await hub.position()
    await until(() => hub.stats().channels > 0)
    // A wait begins some turns after the call.
    await new Promise((resolve) => setTimeout(resolve, 30))
    const receipts = await hub.publishAll([
      { channel: 'a', data: 1 },
      { channel: 'typing.7', data: 2, event: 'typing' },
      { channel: 'a', data: 3 },
    ])
    const [one, , three] = receipts
    expect((await first).value).toEqual({ channel: 'a', event: undefined, id: one!.id, data: 1 })
    expect((await events.next()).value).toEqual({ channel: 'typing.7', event: 'typing', id: one!.id, data: 2 })
    // The consumer is busy: this one is not for it.
    await hub.publish('typing.7', 'unheard')
    await hub.publish('a', 4)
    expect((await events.next()).value).toMatchObject({ data: 3, id: three!.id })
    expect((await events.next()).value).toMatchObject({ data: 4 })
    const next = events.next()
    await new Promise((resolve) => setTimeout(resolve, 30))
    await hub.publish('typing.7', 'alone')
    expect((await next).value).toMatchObject({ data: 'alone', id: await hub.position() })
    await events.return!()
  })

  it('refuse idempotency keys', async () => {
    const { hub, url } = await serving()
    await expect(hub.publish('typing.7', 1, { idempotencyKey: 'k' })).rejects.toThrow(
      new TypeError('Option `idempotencyKey` must be absent on the ephemeral channel typing.7, got "k".'),
    )
    const refused = await post(url, '/channels/typing.7', '1', { 'idempotency-key': 'k' })
    expect(expectProblem(refused, 400, 'ERR_SSE_IDEMPOTENCY_KEY')).toContain('typing.7 is ephemeral')
    expect(hub.stats().published).toBe(0)
  })

  it('are published to by POST, which answers 201 with a null ID', async () => {
    const { hub, url } = await serving()
    const stream = await open(url, '/channels/typing.7')
    await stream.next()
    const answer = await post(url, '/channels/typing.7?event=typing', '{"who":"ann"}')
    expect(answer.status).toBe(201)
    expect(JSON.parse(answer.body)).toEqual({ id: null, channel: 'typing.7', duplicate: false, localSubscribers: 1 })
    expect(await stream.next()).toMatchObject({ event: 'typing', data: '{"who":"ann"}' })
    expect(stream.text()).not.toMatch(/id: .*\nevent: typing/)
    const batch = await post(url, '/channels/typing.7', '1\n2\n', { 'content-type': 'application/x-ndjson' })
    expect([batch.status, JSON.parse(batch.body)]).toMatchObject([
      201,
      { ids: [null, null], duplicates: [false, false] },
    ])
    for (const data of ['1', '2']) expect((await stream.next()).data).toBe(data)
    expect(hub.stats().published).toBe(3)
  })

  it('of a pattern with a hook are received from the decision on', async () => {
    const asked: string[] = []
    const { hub, url } = await serving({
      channels: ['>'],
      subscribe: async (_req, [channel]) => {
        asked.push(channel!)
        return channel !== 'typing.secret'
      },
    })
    const stream = await open(url, '/channels/>')
    await stream.next()
    for (let i = 0; i < 3; i++) void hub.publish('typing.7', `early ${i}`)
    await hub.publish('typing.secret', 'early')
    await until(() => asked.length >= 3)
    await new Promise((resolve) => setTimeout(resolve, 10))
    await hub.publish('typing.secret', 'secret')
    await hub.publish('typing.7', 'late')
    expect((await stream.next()).data).toBe('late')
    expect(stream.text()).not.toMatch(/early|secret/)
    expect(asked).toEqual(['>', 'typing.7', 'typing.secret'])
    // It has stayed live.
    expect(hub.stats().lagged).toBe(0)
    expect([...hub.channel('typing.7').subscribers].map(({ state }) => state)).toEqual(['live'])
  })

  it('cost nothing after their stream has left', async () => {
    const { hub, url } = await serving()
    const stream = await open(url, '/channels/typing.7')
    await stream.next()
    stream.drop()
    await until(() => hub.stats().subscriptions === 0)
    expect(await hub.publish('typing.7', 1)).toEqual({
      id: null,
      channel: 'typing.7',
      duplicate: false,
      localSubscribers: 0,
    })
    expect(hub.stats()).toMatchObject(NOBODY)
  })
})

it('a broker without ephemeral channels gives every event an ID', async () => {
  const hub = makeHub(five.lib, { broker: memoryBroker() })
  const url = await serve(appWith(five, hub))
  const answer = await post(url, '/channels/typing.7', '1', { 'idempotency-key': 'k' })
  expect(JSON.parse(answer.body).id).toMatch(/\.1$/)
  expect((await ask(url, '/channels/typing.7', { method: 'HEAD' })).status).toBe(200)
  onTestFinished(() => hub.close())
})
