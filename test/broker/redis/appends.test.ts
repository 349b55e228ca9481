import { createClient } from 'redis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { redisBroker } from '../../../src/broker/redis/index.ts'
import { ChannelHub } from '../../../src/index.ts'
import { cuttingProxy } from '../../support/cutting-proxy.ts'
import { REDIS_MISSING } from '../../support/redis-server.ts'
import { serverOfTest } from './support.ts'

async function hubOn(url: string) {
  const broker = redisBroker({ client: createClient({ url }) })
  const hub = new ChannelHub({ broker })
  onTestFinished(() => hub.close({ timeoutMs: 1_000 }))
  await hub.ready()
  return { broker, hub }
}

async function all(hub: ChannelHub, after: string, last: string): Promise<unknown[]> {
  const data: unknown[] = []
  for await (const item of hub.events('news', { after })) {
    data.push('gap' in item ? item.reason : item.data)
    if (!('gap' in item) && item.id === last) return data
  }
  return data
}

describe.skipIf(REDIS_MISSING)('publishing without keys', { timeout: 60_000 }, () => {
  it('is done once when the answer is lost: the batch is repeated under its number', async () => {
    const server = await serverOfTest()
    const proxy = await cuttingProxy(server.port)
    onTestFinished(() => proxy.close())
    const { hub, broker } = await hubOn(proxy.url.replace('http', 'redis'))
    const { id: after } = await hub.publish('news', 'first')
    const expected: unknown[] = []
    for (let i = 0; i < 5; i++) {
      // It is executed, and its answer does not come back.
      proxy.hold()
      const one = hub.publish('news', i)
      expected.push(i)
      await new Promise((resolve) => setTimeout(resolve, 50))
      proxy.cut()
      await one
    }
    const { id } = await hub.publish('news', 'last')
    expect(await all(hub, after, id)).toEqual([...expected, 'last'])
    expect(broker.stats().repeated).toBe(5)
  })

  it('is done once and in order when the server stops for less than five seconds', async () => {
    const server = await serverOfTest()
    const { hub } = await hubOn(server.url)
    const { id: after } = await hub.publish('news', 'first')
    server.signal('SIGSTOP')
    const published = [0, 1, 2].map((n) => hub.publish('news', n))
    await new Promise((resolve) => setTimeout(resolve, 4_000))
    server.signal('SIGCONT')
    const receipts = await Promise.all(published)
    expect(await all(hub, after, receipts.at(-1)!.id)).toEqual([0, 1, 2])
  })

  it('says what it knows when the server stays away', async () => {
    const server = await serverOfTest()
    const { hub } = await hubOn(server.url)
    await hub.publish('news', 'first')
    await server.kill()
    await expect(hub.publish('news', 'second')).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_SSE_(BROKER_UNAVAILABLE|PUBLISH_UNKNOWN)$/),
    })
  })

  it('is refused as a whole when memory is full, while reading goes on, and is taken again later', async () => {
    const server = await serverOfTest('--maxmemory-policy', 'noeviction')
    const { hub } = await hubOn(server.url)
    const { id: after } = await hub.publish('news', 'first')
    const { id } = await hub.publish('news', 'second')
    await server.command('CONFIG', 'SET', 'maxmemory', '1')
    await expect(hub.publish('news', 'no')).rejects.toMatchObject({
      code: 'ERR_SSE_BROKER_UNAVAILABLE',
      detail: expect.stringContaining('memory'),
    })
    expect(await all(hub, after, id)).toEqual(['second'])
    await server.command('CONFIG', 'SET', 'maxmemory', '0')
    const { id: third } = await hub.publish('news', 'third')
    expect(await all(hub, after, third)).toEqual(['second', 'third'])
  })

  it('loads its scripts again when the server has lost them', async () => {
    const server = await serverOfTest()
    const { hub } = await hubOn(server.url)
    const { id: after } = await hub.publish('news', 'first')
    await server.command('SCRIPT', 'FLUSH')
    const { id } = await hub.publish('news', 'second')
    expect(await all(hub, after, id)).toEqual(['second'])
  })
})
