import { describe, expect, it } from 'vitest'
import { LogProblem } from '../../../src/broker/redis/failure.ts'
import { type RedisBrokerOptions, redisBroker } from '../../../src/broker/redis/index.ts'
import type { Link } from '../../../src/broker/redis/link.ts'
import { examine } from '../../../src/broker/redis/server.ts'
import { documentAt } from '../../readme/documents.ts'
import { REDIS_MISSING } from '../../support/redis-server.ts'
import { FakeServer, settingsWith } from './stepped.ts'
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

describe('the answers of a server', () => {
  const HELLO = { server: 'redis', version: '7.2.0', proto: 3 }
  const INFO = ['cluster_enabled:0', 'maxmemory_policy:noeviction', 'aof_enabled:1', 'master_replid:abc']

  function examined(answers: Record<string, unknown>, options: Partial<RedisBrokerOptions> = {}) {
    const all: Record<string, unknown> = {
      HELLO,
      EVAL: [],
      INFO: `# Server\r\n${INFO.join('\r\n')}\r\n`,
      HGET: null,
      TIME: ['1700000000', '123456'],
      ...answers,
    }
    const call = async ([command]: readonly string[]) => {
      const answer = all[command!]
      if (answer instanceof Error) throw answer
      return answer
    }
    return examine({ call } as unknown as Link, settingsWith(new FakeServer().connect, options))
  }
  const without = (field: string) => INFO.filter((line) => !line.startsWith(field)).join('\n')

  it.each([
    ['an object', HELLO],
    ['a map', new Map<string, unknown>(Object.entries(HELLO))],
    ['a list', Object.entries(HELLO).flat()],
  ])('are understood when the client returns HELLO as %s', async (_, hello) => {
    expect(await examined({ HELLO: hello })).toEqual({ persists: true, time: 1_700_000_000_123 })
  })

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['a version before 7', { HELLO: { ...HELLO, version: '6.2.14' } }, /7\.0 or newer; this server is 6\.2\.14/],
    ['no version', { HELLO: {} }, /this server is undefined/],
    ['RESP2', { HELLO: { ...HELLO, proto: 2 } }, /RESP3/],
    ['no replication ID', { INFO: without('master_replid') }, /no master_replid.*fence: 'none'/],
    ['missing commands', { EVAL: ['script|load', 'get', 'get'] }, /commands: \+script\|load \+get$/],
    ['a command without permission', { HGET: new Error("NOPERM User hub may not run the 'hget' command") }, /\+hget /],
    [
      'an unnamed command without permission',
      { HGET: new Error('NOPERM No permissions') },
      /may not call some command/,
    ],
  ])('with %s make the server unsuitable', async (_, answers, reason) => {
    const error = await examined(answers).catch((error) => error)
    expect(error).toBeInstanceOf(LogProblem)
    expect(error.message).toMatch(reason)
  })

  it('need no replication ID without a fence, and no INFO', async () => {
    expect(await examined({ INFO: without('master_replid') }, { fence: 'none' })).toMatchObject({ persists: true })
    const INFO = new Error("NOPERM User hub has no permissions to run the 'info' command")
    expect(await examined({ INFO }, { fence: 'none' })).toMatchObject({ persists: undefined })
  })

  it('may lack the eviction policy', async () => {
    expect(await examined({ INFO: without('maxmemory_policy') })).toMatchObject({ persists: true })
  })

  it.each(['HELLO', 'EVAL', 'INFO', 'HGET'])('that are other errors are passed on: %s', async (command) => {
    const error = new Error('LOADING Redis is loading the dataset in memory')
    await expect(examined({ [command]: error })).rejects.toBe(error)
  })
})
