import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { createClient } from 'redis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type RedisBrokerOptions, redisBroker } from '../../../src/broker/redis/index.ts'
import { ChannelHub } from '../../../src/index.ts'
import { openStream } from '../../../src/testing/index.ts'
import { REDIS_MISSING, RedisServer } from '../../support/redis-server.ts'
import { newPrefix, serverOfFile, serverOfTest } from './support.ts'

/** One process of a fleet: a hub behind an HTTP server. */
async function node(url: string, options: Partial<RedisBrokerOptions>) {
  const broker = redisBroker({ client: createClient({ url }), ...options })
  const hub = new ChannelHub({ broker })
  await hub.ready()
  const app = express().use('/channels', hub.router({ channels: ['>'], publish: 'anyone' }))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = async () => {
    await hub.close({ timeoutMs: 1_000 })
    server.close()
    server.closeAllConnections()
  }
  onTestFinished(close)
  return { hub, broker, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

async function post(url: string, channel: string, text: string): Promise<string> {
  const headers = { 'content-type': 'text/plain' }
  const answer = await fetch(`${url}/channels/${channel}`, { method: 'POST', body: text, headers })
  expect(answer.status).toBe(201)
  return ((await answer.json()) as { id: string }).id
}

describe.skipIf(REDIS_MISSING)('a fleet', () => {
  const on = serverOfFile()

  it('delivers an event of one node on all nodes', async () => {
    const prefix = newPrefix()
    const [a, b] = [await node(on.url, { prefix }), await node(on.url, { prefix })]
    const streams = await Promise.all(
      [a, b].map(({ url }) => openStream(url, '/channels?channel=news&channel=price.*')),
    )
    for (const stream of streams) expect((await stream.next()).event).toBe('hub.open')
    const ids = [await post(a.url, 'news', 'one'), await post(b.url, 'price.x', 'two'), await post(a.url, 'news', '3')]
    for (const stream of streams) {
      for (const id of ids) expect((await stream.next({ type: 'message' })).id).toBe(id)
      stream.drop()
    }
  })

  it('resumes on another node from the same ID, with the missed events', async () => {
    const prefix = newPrefix()
    const [a, b] = [await node(on.url, { prefix }), await node(on.url, { prefix })]
    const first = await openStream(a.url, '/channels/news')
    await first.next({ type: 'hub.open' })
    const seen = await post(b.url, 'news', 'seen')
    expect((await first.next({ type: 'message' })).id).toBe(seen)
    first.drop()
    await a.close()
    const missed = [await post(b.url, 'news', 'missed 1'), await post(b.url, 'news', 'missed 2')]
    const second = await openStream(b.url, '/channels/news', { lastEventId: seen })
    expect((await second.next()).json()).toMatchObject({ resumed: true })
    for (const id of missed) expect((await second.next()).id).toBe(id)
    const live = await post(b.url, 'news', 'live')
    expect((await second.next()).id).toBe(live)
    second.drop()
  })

  it('gives a repeat on another node the first receipt', async () => {
    const prefix = newPrefix()
    const [a, b] = [await node(on.url, { prefix }), await node(on.url, { prefix })]
    const [{ id }, again] = [
      await a.hub.publish('orders', { n: 1 }, { idempotencyKey: 'k' }),
      await b.hub.publish('orders', { n: 1 }, { idempotencyKey: 'k' }),
    ]
    expect(again).toMatchObject({ id, duplicate: true })
    await expect(b.hub.publish('orders', { n: 2 }, { idempotencyKey: 'k' })).rejects.toMatchObject({
      code: 'ERR_SSE_IDEMPOTENCY_MISMATCH',
    })
  })

  it('keeps hubs of different prefixes apart, and those of one prefix on two databases as well', async () => {
    const [one, other] = [newPrefix(), newPrefix()]
    const a = await node(on.url, { prefix: one })
    const b = await node(on.url, { prefix: other })
    const c = await node(`${on.url}/1`, { prefix: one })
    const streams = await Promise.all([a, b, c].map(({ url }) => openStream(url, '/channels/news')))
    for (const stream of streams) await stream.next({ type: 'hub.open' })
    const texts = ['to a', 'to b', 'to c']
    for (const [i, { url }] of [a, b, c].entries()) await post(url, 'news', texts[i]!)
    for (const [i, stream] of streams.entries()) {
      expect((await stream.next({ type: 'message' })).data).toBe(texts[i])
      stream.drop()
    }
    const before = a.broker.stats().syncs
    await post(c.url, 'news', 'again')
    await post(a.url, 'news', 'again')
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    expect(a.broker.stats().syncs - before).toBeLessThanOrEqual(1)
    expect(a.broker.stats()).toMatchObject({ state: 'live', suspects: 0, holes: 0 })
  })

  it('works over a Unix socket', async () => {
    const server = await serverOfTest()
    const prefix = newPrefix()
    const client = createClient({ socket: { path: server.socket, tls: false } })
    const [a, b] = [await node('', { client, prefix }), await node('', { client, prefix })]
    const stream = await openStream(b.url, '/channels/news')
    await stream.next({ type: 'hub.open' })
    const id = await post(a.url, 'news', 'hello')
    expect((await stream.next()).id).toBe(id)
    stream.drop()
  })

  it('loses nothing when the connection of a node is cut, and nothing when the server starts again', async () => {
    const server = await serverOfTest('--appendonly', 'yes')
    const prefix = newPrefix()
    const [a, b] = [await node(server.url, { prefix }), await node(server.url, { prefix })]
    const stream = await openStream(b.url, '/channels/news')
    await stream.next({ type: 'hub.open' })
    const expected: string[] = []
    for (let round = 0; round < 3; round++) {
      expected.push(await post(a.url, 'news', `${round}`))
      await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
      expected.push(await post(a.url, 'news', `${round} while it is cut`))
    }
    // Before the server ends: an event that is delivered after that has the same place in the next epoch.
    for (const id of expected) expect((await stream.next({ type: 'message' })).id).toBe(id)
    await server.kill()
    const late = post(a.url, 'news', 'while it is away')
    await server.start()
    expect((await stream.next({ type: 'message' })).id).toBe(await late)
    expect(b.broker.stats()).toMatchObject({ state: 'live', holes: 0, suspects: 0 })
    stream.drop()
  })

  it('reports events that the server has lost as a gap', async () => {
    const server = await serverOfTest()
    const prefix = newPrefix()
    const a = await node(server.url, { prefix })
    await a.hub.publish('news', 'kept')
    await server.command('SAVE')
    const { id } = await a.hub.publish('news', 'lost')
    await server.kill()
    await server.start()
    await expect.poll(() => a.broker.stats().state, { timeout: 5_000 }).toBe('live')
    const { id: after } = await a.hub.publish('news', 'after')
    const stream = await openStream(a.url, '/channels/news', { lastEventId: id })
    expect((await stream.next()).json()).toMatchObject({ resumed: false })
    expect((await stream.next()).json()).toMatchObject({ reason: 'diverged', from: id })
    expect((await stream.next()).id).toBe(after)
    stream.drop()
  })
})

it.skipIf(REDIS_MISSING)('a hub without a reachable server rejects ready()', { timeout: 20_000 }, async () => {
  const server = await RedisServer.start()
  await server.stop()
  const hub = new ChannelHub({ broker: redisBroker({ client: createClient({ url: server.url }) }) })
  await expect(hub.ready()).rejects.toMatchObject({ code: 'ERR_SSE_BROKER_UNAVAILABLE' })
  await hub.close()
})
