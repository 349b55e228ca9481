import { describe, expect, it, onTestFinished } from 'vitest'
import { eventOfEntry, Malformed } from '../../../src/broker/redis/ingest-entry.ts'
import { ChannelHub } from '../../../src/index.ts'
import { REDIS_MISSING } from '../../support/redis-server.ts'
import { brokerOf, newPrefix, serverOfFile } from './support.ts'

describe.skipIf(REDIS_MISSING)('the ingest stream', () => {
  const on = serverOfFile()

  function node(prefix: string) {
    const broker = brokerOf(on.url, { prefix, ingest: true })
    const hub = new ChannelHub({ broker })
    onTestFinished(() => hub.close({ timeoutMs: 1_000 }))
    return { hub, broker }
  }
  const add = (prefix: string, ...fields: string[]) => on.server.command('XADD', `{${prefix}}:in`, '*', ...fields)

  it('makes one event of each entry, however many nodes there are and whichever close', async () => {
    const prefix = newPrefix()
    const nodes = [node(prefix), node(prefix), node(prefix)]
    await Promise.all(nodes.map(({ hub }) => hub.ready()))
    const reader = nodes[0]!.hub.events('news')
    const first = reader.next()
    for (let i = 0; i < 300; i++) {
      await add(prefix, 'channel', 'news', 'data', `{"n":${i}}`, 'json', '1')
      if (i === 150) await nodes[2]!.hub.close({ timeoutMs: 1_000 })
    }
    expect((await first).value).toMatchObject({ data: { n: 0 } })
    for (let i = 1; i < 300; i++) expect((await reader.next()).value).toMatchObject({ data: { n: i } })
    await expect.poll(() => on.server.command('XLEN', `{${prefix}}:in`)).toBe(':0\r\n')
    const { id } = await nodes[1]!.hub.publish('news', 'last')
    expect((await reader.next()).value.id).toBe(id)
    expect(Number.parseInt(id.split('.')[1]!, 36)).toBe(301)
  })

  it('takes what was added while no node was there, with type, key and idempotency key', async () => {
    const prefix = newPrefix()
    await add(prefix, 'channel', 'news', 'data', 'text', 'event', 'tick', 'key', 'k', 'id', 'i1')
    await add(prefix, 'channel', 'news', 'data', 'text', 'event', 'tick', 'key', 'k', 'id', 'i1')
    const { hub } = node(prefix)
    await expect.poll(() => on.server.command('XLEN', `{${prefix}}:in`)).toBe(':0\r\n')
    const reader = hub.events('news', { rewind: 10 })
    expect((await reader.next()).value).toMatchObject({ event: 'tick', data: 'text' })
    const { id } = await hub.publish('news', 'after')
    expect((await reader.next()).value.id).toBe(id)
  })

  it('sets aside what is no event, with the reason', async () => {
    const prefix = newPrefix()
    const { hub, broker } = node(prefix)
    await hub.ready()
    await add(prefix, 'channel', 'not a name', 'data', 'x')
    await add(prefix, 'channel', 'news', 'data', '{', 'json', '1')
    await add(prefix, 'channel', 'news', 'data', 'one', 'id', 'same')
    await add(prefix, 'channel', 'news', 'data', 'other', 'id', 'same')
    await expect.poll(() => broker.stats().malformed).toBe(3)
    const bad = await on.server.command('XRANGE', `{${prefix}}:in:bad`, '-', '+')
    expect(bad).toContain('not a name')
    expect(bad).toContain('no JSON')
    expect(bad).toContain('idempotency key')
    const reader = hub.events('news', { rewind: 10 })
    expect((await reader.next()).value).toMatchObject({ data: 'one' })
  })
})

describe('an entry of the ingest stream', () => {
  it.each([
    ['no channel', ['data', 'x'], /channel name/],
    ['no data', ['channel', 'a'], /data is missing/],
    ['a pattern', ['channel', 'a.*', 'data', 'x'], /channel name/],
    ['a reserved type', ['channel', 'a', 'data', 'x', 'event', 'hub.gap'], /hub/],
    ['a type of two lines', ['channel', 'a', 'data', 'x', 'event', 'a\nb'], /event type/i],
    ['json that is neither', ['channel', 'a', 'data', 'x', 'json', 'yes'], /json must be/],
    ['a bad key', ['channel', 'a', 'data', 'x', 'key', ''], /key/],
    ['a bad idempotency key', ['channel', 'a', 'data', 'x', 'id', 'ä'], /id must/],
    ['too much data', ['channel', 'a', 'data', 'x'.repeat(1_048_576)], /bytes/],
  ])('with %s is malformed', (_, fields, reason) => {
    expect(() => eventOfEntry(fields)).toThrow(Malformed)
    expect(() => eventOfEntry(fields)).toThrow(reason)
  })
})
