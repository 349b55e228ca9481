import { describe, expect, it, onTestFinished } from 'vitest'
import { eventOfEntry, Malformed } from '../../../src/broker/redis/ingest-entry.ts'
import { append, setAside } from '../../../src/broker/redis/scripts.ts'
import { ChannelHub } from '../../../src/index.ts'
import { ALL, selector } from '../../../src/testing/broker-contract/rig.ts'
import { REDIS_MISSING } from '../../support/redis-server.ts'
import { runs, type Step, steppedBroker } from './stepped.ts'
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

describe.skipIf(REDIS_MISSING)('a node that takes entries', () => {
  const on = serverOfFile()

  function node(step: Step) {
    const prefix = newPrefix()
    const reports: string[] = []
    const onError = (error: Error & { detail?: string }) => void reports.push(error.detail!)
    const broker = steppedBroker(on.url, { prefix, ingest: true, onError }, step)
    const heard: string[] = []
    const listener = {
      events: (batch: readonly object[]) =>
        void heard.push(...batch.map((one) => ('data' in one ? `${one.data}` : ''))),
      suspect: () => {},
    }
    const add = (...fields: string[]) => on.server.command('XADD', `{${prefix}}:in`, '*', ...fields)
    const start = async () => {
      await broker.start(listener)
      await broker.subscribe(selector('news'))
    }
    return { broker, prefix, reports, heard, add, start, left: () => on.server.command('XLEN', `{${prefix}}:in`) }
  }

  it('reports a refusal of the server, and takes them later', async () => {
    let isRefused = false
    const { reports, heard, add, start } = node((args, ask) => {
      if (args[0] !== 'XRANGE' || !isRefused) return ask()
      isRefused = false
      return Promise.reject(new Error('BUSY Redis is busy running a script'))
    })
    await start()
    isRefused = true
    await add('channel', 'news', 'data', 'one')
    await expect.poll(() => heard).toEqual(['one'])
    expect(reports).toContain('Redis is busy with a script of another program.')
  })

  it('reports nothing when the connection that waits for them ends, and waits on another one', async () => {
    let waits = 0
    const { broker, reports, heard, add, start } = node((args, ask) => {
      if (args[0] === 'XREAD') waits++
      return ask()
    })
    await start()
    await expect.poll(() => waits).toBe(1)
    const before = reports.length
    const list = await on.server.command('CLIENT', 'LIST', 'TYPE', 'normal')
    const [, id] = /id=(\d+) [^\n]*cmd=xread/.exec(list)!
    await on.server.command('CLIENT', 'KILL', 'ID', id!)
    await expect.poll(() => waits).toBe(2)
    await add('channel', 'news', 'data', 'one')
    await expect.poll(() => heard).toEqual(['one'])
    expect([reports.length - before, broker.stats().links]).toEqual([0, 1])
  })

  it('makes each of them one event when only a part of them could be appended', async () => {
    let appends = 0
    const { broker, reports, add, start, left } = node((args, ask) => {
      if (runs(args, append) && ++appends === 2) return Promise.reject(new Error('OOM command not allowed'))
      return ask()
    })
    const texts = ['a', 'b', 'c'].map((text) => text.repeat(200_000))
    for (const data of texts) await add('channel', 'news', 'data', data)
    await start()
    await expect.poll(left, { timeout: 5_000 }).toBe(':0\r\n')
    expect(reports).toContain('Redis is out of memory (maxmemory).')
    expect(appends).toBeGreaterThan(2)
    const { items } = await broker.latest(10, selector('news'), ALL)
    expect(items.map((item) => ('data' in item ? item.data[0] : 'lost')).toSorted()).toEqual(['a', 'b', 'c'])
  })

  it('counts an entry that another node has set aside for that node alone', async () => {
    let asides = 0
    const { broker, prefix, add, start, left } = node(async (args, ask) => {
      if (!runs(args, setAside)) return ask()
      asides++
      await ask()
      return ask()
    })
    await start()
    await add('channel', 'news')
    await expect.poll(left).toBe(':0\r\n')
    await expect.poll(() => asides).toBe(1)
    expect(await on.server.command('XLEN', `{${prefix}}:in:bad`)).toBe(':1\r\n')
    expect(broker.stats().malformed).toBe(0)
  })

  it('ends with its broker, also while it waits after a failure', async () => {
    let asked = 0
    const { broker, start } = node((args, ask) => {
      if (args[0] !== 'XRANGE') return ask()
      asked++
      return Promise.reject(new Error('BUSY Redis is busy running a script'))
    })
    await start()
    await expect.poll(() => asked).toBeGreaterThan(0)
    await broker.close()
    const before = asked
    await new Promise((resolve) => setTimeout(resolve, 600))
    expect(asked).toBe(before)
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
