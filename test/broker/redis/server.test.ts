import { describe, expect, it } from 'vitest'
import { type RedisBrokerOptions, redisBroker } from '../../../src/broker/redis/index.ts'
import { documentAt } from '../../readme/documents.ts'
import { REDIS_MISSING } from '../../support/redis-server.ts'
import { brokerOf, CLIENTS, newPrefix, serverOfTest } from './support.ts'

const SILENT = { events: () => {}, suspect: () => {} }

/** What `start` rejects with. */
async function refusalOf(url: string, options: Partial<RedisBrokerOptions> = {}): Promise<string> {
  const error = await brokerOf(url, options)
    .start(SILENT)
    .then(
      () => undefined,
      (error) => error,
    )
  expect(error).toMatchObject({ code: 'ERR_SSE_BROKER_UNAVAILABLE' })
  return error.detail
}

describe.skipIf(REDIS_MISSING)('a broker refuses a server', () => {
  it('that evicts keys', async () => {
    const server = await serverOfTest('--maxmemory', '100mb', '--maxmemory-policy', 'allkeys-lru')
    expect(await refusalOf(server.url)).toContain('allkeys-lru')
    await server.command('CONFIG', 'SET', 'maxmemory-policy', 'volatile-lru')
    await brokerOf(server.url).start(SILENT)
  })

  it('in cluster mode', async () => {
    const server = await serverOfTest('--cluster-enabled', 'yes')
    expect(await refusalOf(server.url)).toContain('cluster mode')
  })

  it('that is a replica', { timeout: 20_000 }, async () => {
    const master = await serverOfTest()
    const replica = await serverOfTest('--replicaof', `127.0.0.1 ${master.port}`)
    expect(await refusalOf(replica.url)).toContain('replica')
  })

  it('whose keys have another format', async () => {
    const server = await serverOfTest()
    await server.command('HSET', '{other}:m', 'v', '2')
    expect(await refusalOf(server.url, { prefix: 'other' })).toContain('format 2')
  })

  it('that asks for a password which the client does not have', async () => {
    const server = await serverOfTest('--requirepass', 'secret')
    expect(await refusalOf(server.url)).toContain('password')
    await brokerOf(server.url.replace('//', '//:secret@')).start(SILENT)
  })
})

describe.skipIf(REDIS_MISSING)('the rights of a user', () => {
  const line = documentAt('src/broker/redis/README.md').take('Rights', '').trim()
  const [, ...rules] = line.replace('ACL SETUSER ', '').replace('>secret', '>pw').replaceAll('\\\n', ' ').split(/\s+/)

  async function userOf(change: (rules: string[]) => string[]) {
    const server = await serverOfTest()
    const answer = await server.command('ACL', 'SETUSER', 'hub', ...change(rules))
    expect(answer).toBe('+OK\r\n')
    return server.url.replace('//', '//hub:pw@')
  }

  it.each(Object.entries(CLIENTS))('of the README are enough with %s', async (_, client) => {
    const url = await userOf((all) => all)
    const broker = redisBroker({ client: client(url), ingest: true })
    await broker.start(SILENT)
    const event = { event: undefined, json: false, conflationKey: undefined, idempotencyKey: 'k' }
    const text = { channel: 'a.b.c', data: 'x', fields: 'data: x\n\n', bytes: 9 }
    const selector = { channels: ['a.b.c'], patterns: ['a.>'], matches: () => true }
    await broker.subscribe(selector)
    const [outcome] = await broker.publish([[{ ...event, ...text }]])
    expect(outcome).toHaveLength(1)
    const { upto, items } = await broker.latest(1, selector, { events: 1, bytes: 1 })
    expect(items).toHaveLength(1)
    await broker.read({ epoch: upto.epoch, seq: 0 }, selector, { events: 1, bytes: 1 })
    await broker.close()
  })

  it.each(rules.filter((rule) => rule.startsWith('+') && !/hello|eval$|script|client|select/.test(rule)))(
    'are named when they lack %s',
    async (rule) => {
      const url = await userOf((all) => all.filter((one) => one !== rule))
      expect(await refusalOf(url, { ingest: true })).toContain(rule)
    },
  )

  it('are named when keys or channels are missing', async () => {
    const url = await userOf((all) => all.map((rule) => rule.replace('{sse}', '{other}')))
    expect(await refusalOf(url)).toContain('~{sse}:*')
    const prefix = newPrefix()
    expect(await refusalOf(url, { prefix })).toContain(`&{${prefix}}:*`)
  })

  it('may lack INFO when that is chosen', async () => {
    const url = await userOf((all) => all.filter((one) => one !== '+info'))
    expect(await refusalOf(url)).toContain("fence: 'none'")
    await brokerOf(url, { fence: 'none' }).start(SILENT)
  })
})
