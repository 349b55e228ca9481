import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { createClient } from 'redis'
import { describe, expect, it, onTestFinished } from 'vitest'
import { redisBroker } from '../../../src/broker/redis/index.ts'
import { ChannelHub } from '../../../src/index.ts'
import { documentAt } from '../../readme/documents.ts'
import { REDIS_MISSING } from '../../support/redis-server.ts'
import { serverOfFile } from './support.ts'

const readme = documentAt('src/broker/redis/README.md')
const TITLE = 'The log of a fleet: `redisBroker()`'

/** Runs a snippet without its imports. Gives the names that it made. */
function run(code: string, env: Record<string, unknown>, gives: string): Promise<never> {
  const body = code.replaceAll(/^import .*$/gm, '')
  const AsyncFunction = (async () => {}).constructor as new (
    ...args: string[]
  ) => (...args: unknown[]) => Promise<never>
  return new AsyncFunction(...Object.keys(env), `${body}\nreturn { ${gives} }`)(...Object.values(env))
}

describe.skipIf(REDIS_MISSING)('the README of the log of a fleet', () => {
  const on = serverOfFile()

  it('makes a hub whose log is on the server', async () => {
    const env = { createClient, redisBroker, ChannelHub, process: { env: { REDIS_URL: on.url } } }
    const { hub, broker } = (await run(readme.take(TITLE, 'ts'), env, 'hub, broker')) as {
      hub: ChannelHub
      broker: ReturnType<typeof redisBroker>
    }
    onTestFinished(() => hub.close())
    const { id } = await hub.publish('news', 'first')
    expect(id).toMatch(/^[0-9A-Za-z]{6}\.1$/)
    expect(broker.stats().state).toBe('live')
  })

  it('publishes by XADD, and deletes a hub', async () => {
    const hub = new ChannelHub({ broker: redisBroker({ client: createClient({ url: on.url }), ingest: true }) })
    await hub.ready()
    const words = readme.take('Writers in other languages', '').trim().replaceAll("'", '').split(' ')
    const { id: after } = await hub.publish('news', 'before')
    const next = hub.events('news', { after }).next()
    await on.server.command(...words)
    expect((await next).value).toMatchObject({ data: { n: 1 } })
    await hub.close()
    const command = readme.take('Keys', 'sh').replaceAll('redis-cli', `redis-cli -p ${on.server.port}`)
    await promisify(execFile)('bash', ['-c', command])
    expect(await on.server.command('KEYS', '{sse}:*')).toBe('*0\r\n')
  })

  it('has no snippet that is not run', () => {
    // server.test.ts and redis-examples.test.ts run these.
    readme.take('Rights', '')
    readme.take(TITLE, 'sh')
    expect(readme.untaken).toEqual([])
  })
})
