import { createClient } from 'redis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { redisBroker } from '../../../src/broker/redis/index.ts'
import { ChannelHub } from '../../../src/index.ts'
import { REDIS_MISSING, type RedisServer } from '../../support/redis-server.ts'
import { serverOfTest } from './support.ts'

// Schedules that chance does not find: a server loses its last events, and as many others take their numbers.

async function hubOn(server: RedisServer): Promise<ChannelHub> {
  const hub = new ChannelHub({ broker: redisBroker({ client: createClient({ url: server.url }) }) })
  onTestFinished(() => hub.close({ timeoutMs: 1_000 }))
  await hub.ready()
  return hub
}

async function synced(replica: RedisServer): Promise<void> {
  await expect
    .poll(() => replica.command('INFO', 'replication'), { timeout: 10_000 })
    .toContain('master_link_status:up')
}

/** What a client gets that resumes at `after`. */
async function resume(hub: ChannelHub, after: string, count: number): Promise<unknown[]> {
  const reader = hub.events('news', { after })
  const items: unknown[] = []
  for (let i = 0; i < count; i++) {
    const { value } = await reader.next()
    items.push('gap' in value ? value.reason : value.data)
  }
  await reader.return!()
  return items
}

describe.skipIf(REDIS_MISSING)('a failover', { timeout: 60_000 }, () => {
  it('that loses events tells those who had them, and no one else', async () => {
    const master = await serverOfTest()
    const replica = await serverOfTest()
    const hub = await hubOn(master)
    const kept = await hub.publish('news', 1)
    await replica.command('REPLICAOF', '127.0.0.1', `${master.port}`)
    await synced(replica)
    await replica.command('REPLICAOF', 'NO', 'ONE')
    await hub.publish('news', 'lost 2')
    const lost = await hub.publish('news', 'lost 3')
    const other = await hubOn(replica)
    for (const n of [2, 3, 4]) await other.publish('news', n)
    expect(await resume(other, lost.id, 4)).toEqual(['diverged', 2, 3, 4])
    expect(await resume(other, kept.id, 3)).toEqual([2, 3, 4])
  })

  it('and a failback to the same process tell the same: its run_id has not changed', async () => {
    const a = await serverOfTest()
    const b = await serverOfTest()
    const hub = await hubOn(a)
    for (const n of [1, 2, 3]) await hub.publish('news', n)
    await b.command('REPLICAOF', '127.0.0.1', `${a.port}`)
    await synced(b)
    await b.command('REPLICAOF', 'NO', 'ONE')
    let lost = ''
    for (const n of [4, 5, 6]) lost = (await hub.publish('news', `lost ${n}`)).id
    await hub.close({ timeoutMs: 1_000 })
    await a.command('REPLICAOF', '127.0.0.1', `${b.port}`)
    await synced(a)
    await a.command('REPLICAOF', 'NO', 'ONE')
    const again = await hubOn(a)
    for (const n of [4, 5, 6, 7]) await again.publish('news', n)
    expect(await resume(again, lost, 5)).toEqual(['diverged', 4, 5, 6, 7])
  })

  it('to an older state of the same life is noticed by a node that has seen more', async () => {
    const server = await serverOfTest()
    const hub = await hubOn(server)
    await hub.publish('news', 1)
    await server.command('SAVE')
    const lost = await hub.publish('news', 'lost')
    await server.command('DEBUG', 'RELOAD', 'NOSAVE')
    const after = await hub.publish('news', 2)
    expect(after.id.split('.')[0]).not.toBe(lost.id.split('.')[0])
    expect(await resume(hub, lost.id, 2)).toEqual(['diverged', 2])
  })

  it('or a restart makes a snapshot due for a position of the new epoch from before its start', async () => {
    const server = await serverOfTest('--appendonly', 'yes')
    const hub = await hubOn(server)
    hub.snapshot('news', () => 'state')
    await hub.publish('news', 1)
    const { id: before } = await hub.publish('news', 2)
    await server.kill()
    await server.start()
    const { id } = await hub.publish('news', 3)
    const [epoch, seq] = id.split('.')
    expect(epoch).not.toBe(before.split('.')[0])
    expect(seq).toBe('3')
    /** The data of the next item after a position of the new epoch, and whether it is a snapshot. */
    const next = async (after: number) => {
      const reader = hub.events('news', { after: `${epoch}.${after}` })
      const { value } = await reader.next()
      await reader.return!()
      return [value.data, 'snapshot' in value]
    }
    expect(await next(1)).toEqual(['state', true])
    expect(await next(2)).toEqual([3, false])
  })
})
