import { Cluster, Redis } from 'ioredis'
import { createClient, createCluster } from 'redis'
import { describe, expect, it } from 'vitest'
import { redisBroker } from '../../../src/broker/redis/index.ts'

describe('redisBroker()', () => {
  const client = createClient()

  it.each<[string, object]>([
    ['client', {}],
    ['client', { client: 'redis://localhost' }],
    ['client', { client: {} }],
    ['client', { client: createCluster({ rootNodes: [] }) }],
    ['client', { client: new Cluster([], { lazyConnect: true }) }],
    ['prefix', { client, prefix: '' }],
    ['prefix', { client, prefix: 'a{b}' }],
    ['prefix', { client, prefix: 'a b' }],
    ['prefix', { client, prefix: 5 }],
    ['ingest', { client, ingest: 'yes' }],
    ['fence', { client, fence: 'run_id' }],
    ['onError', { client, onError: 1 }],
    ['history.maxEvents', { client, history: { maxEvents: -1 } }],
    ['history.channels["a.*"].maxBytes', { client, history: { channels: { 'a.*': { maxBytes: 1_000 } } } }],
    ['history.channels["a"].maxChannels', { client, history: { channels: { a: { maxChannels: 5 } } } }],
    ['history.channels', { client, history: { channels: { a: { ephemeral: true } } } }],
    ['clock', { client, clock: {} }],
    ['url', { client, url: 'redis://localhost' }],
  ])('names the option %s when it is wrong', (name, options) => {
    expect(() => redisBroker(options as never)).toThrow(TypeError)
    expect(() => redisBroker(options as never)).toThrow(`\`${name}\``)
  })

  it('takes a client of either library, connected or not', () => {
    redisBroker({ client })
    redisBroker({ client: new Redis({ lazyConnect: true }) })
  })
})
