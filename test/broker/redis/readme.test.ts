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

  it('has no snippet that is not run', () => {
    // server.test.ts runs this one.
    readme.take('Rights', '')
    expect(readme.untaken).toEqual([])
  })
})
