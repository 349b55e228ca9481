import { createClient } from 'redis'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { Appends } from '../../../src/broker/redis/appends.ts'
import { LinkEnded } from '../../../src/broker/redis/failure.ts'
import { redisBroker } from '../../../src/broker/redis/index.ts'
import { Seen } from '../../../src/broker/redis/seen.ts'
import type { Session } from '../../../src/broker/redis/session.ts'
import { ChannelHub } from '../../../src/index.ts'
import { event } from '../../../src/testing/broker-contract/rig.ts'
import { cuttingProxy } from '../../support/cutting-proxy.ts'
import { REDIS_MISSING } from '../../support/redis-server.ts'
import { type Deferred, deferred, FakeServer, settingsWith, turn } from './stepped.ts'
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

/** A session whose answers the test gives. */
class SteppedSession {
  /** The number of each batch that was sent, and its answer. */
  readonly sent: { readonly number: string; readonly answer: Deferred<string> }[] = []
  /** The reasons for which the link was ended. */
  readonly endings: unknown[] = []
  readonly link = { end: (error: unknown) => void this.endings.push(error) }

  write(_: unknown, [, number]: readonly string[]): Promise<string> {
    const answer = deferred<string>()
    this.sent.push({ number: number!, answer })
    return answer.promise
  }

  /** Answers the last batch: it had one event, which has this `seq`. */
  appended(seq: number): void {
    this.sent.at(-1)!.answer.resolve(`AAAAAA ${seq - 1} ${seq}`)
  }

  refuse(message: string): void {
    this.sent.at(-1)!.answer.reject(new Error(message))
  }

  get numbers(): readonly string[] {
    return this.sent.map(({ number }) => number)
  }
}

describe('the queue of publishes', () => {
  function queue() {
    const appends = new Appends(settingsWith(new FakeServer().connect), 'node', new Seen())
    return {
      appends,
      up(session: SteppedSession) {
        appends.up(session as unknown as Session)
        return session
      },
      publish: (...names: string[]) => appends.append(names.map((name) => ({ group: [event(name)] }))),
    }
  }
  const receipt = (seq: number) => [[{ id: { epoch: 'AAAAAA', seq }, duplicate: false }]]
  const UNKNOWN = { code: 'ERR_SSE_PUBLISH_UNKNOWN' }
  const UNAVAILABLE = { code: 'ERR_SSE_BROKER_UNAVAILABLE' }

  it('answers no groups with no outcomes, and sends nothing', async () => {
    const { up, publish } = queue()
    const session = up(new SteppedSession())
    expect(await publish()).toEqual([])
    expect(session.sent).toEqual([])
  })

  it('refuses a publish when it is closed', async () => {
    const { appends, publish } = queue()
    await appends.close()
    await expect(publish('a1')).rejects.toMatchObject({ ...UNAVAILABLE, detail: 'The broker is closed.' })
  })

  it('refuses a publish when more than 64 MiB wait, and accepts the next one when they are sent', async () => {
    const { appends, publish, up } = queue()
    const large = { ...event('a1'), bytes: 60_000_000 }
    const waiting = appends.append([{ group: [large] }])
    await expect(appends.append([{ group: [{ ...large, bytes: 10_000_000 }] }])).rejects.toMatchObject({
      ...UNAVAILABLE,
      detail: expect.stringContaining('too slow'),
    })
    const session = up(new SteppedSession())
    session.appended(1)
    await waiting
    const next = publish('a2')
    session.appended(2)
    expect(await next).toEqual(receipt(2))
  })

  it('sends batches of at most 128 events, and never splits a group', async () => {
    const { appends, up, publish } = queue()
    const group = Array.from({ length: 100 }, () => event('a1'))
    const [first, second, third] = [appends.append([{ group }]), appends.append([{ group }]), publish('a1')]
    const session = up(new SteppedSession())
    session.sent[0]!.answer.resolve('AAAAAA 0 100')
    expect((await first)[0]).toHaveLength(100)
    await turn()
    session.sent[1]!.answer.resolve('AAAAAA 100 201')
    expect((await second)[0]).toHaveLength(100)
    expect(await third).toEqual(receipt(201))
    expect(session.numbers).toEqual(['1', '2'])
  })

  it('ends the link to a replica, and repeats the batch on the next link under the same number', async () => {
    const { appends, up, publish } = queue()
    const replica = up(new SteppedSession())
    const one = publish('a1')
    replica.refuse("READONLY You can't write against a read only replica.")
    await turn()
    expect(replica.endings).toHaveLength(1)
    appends.down(replica.endings[0])
    const master = up(new SteppedSession())
    master.appended(7)
    expect(await one).toEqual(receipt(7))
    expect([replica.numbers, master.numbers]).toEqual([['1'], ['1']])
    expect(appends.repeated).toBe(1)
  })

  it('reports an unknown outcome for an error that does not exclude that events were kept', async () => {
    const { up, publish } = queue()
    const session = up(new SteppedSession())
    const one = publish('a1')
    session.refuse(`OOM command not allowed. script: ${'a'.repeat(40)}, on @user_script:7.`)
    await expect(one).rejects.toMatchObject(UNKNOWN)
    const next = publish('a2')
    session.refuse('OOM command not allowed')
    await expect(next).rejects.toMatchObject(UNAVAILABLE)
  })

  it('has one batch in progress when an answer arrives together with the next link', async () => {
    const { appends, up, publish } = queue()
    const old = up(new SteppedSession())
    const [one, two] = [publish('a1'), publish('a2')]
    old.appended(1)
    appends.down(new Error('ended'))
    const next = up(new SteppedSession())
    expect(await one).toEqual(receipt(1))
    await turn()
    expect(next.numbers).toEqual(['1'])
    // The server repeats the answer of a number that it has executed.
    next.appended(1)
    await turn()
    expect(next.numbers).toEqual(['1', '2'])
    next.appended(2)
    expect(await two).toEqual(receipt(2))
  })

  it('gives up after 5 seconds without a link: a sent batch is unknown, a waiting one was not kept', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const { appends, up, publish } = queue()
    const session = up(new SteppedSession())
    const [sent, waiting] = [publish('a1'), publish('a2')]
    session.sent[0]!.answer.reject(new LinkEnded(undefined))
    appends.down(new Error('ended'))
    const outcomes = Promise.all([
      expect(sent).rejects.toMatchObject(UNKNOWN),
      expect(waiting).rejects.toMatchObject(UNAVAILABLE),
    ])
    await vi.advanceTimersByTimeAsync(4_900)
    const late = publish('a3')
    await vi.advanceTimersByTimeAsync(600)
    await outcomes
    const next = up(new SteppedSession())
    expect(next.numbers).toEqual(['2'])
    next.appended(1)
    expect(await late).toEqual(receipt(1))
    await vi.advanceTimersByTimeAsync(500)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('gives up a batch without an answer after 15 seconds, although there is a link', async () => {
    vi.useFakeTimers()
    onTestFinished(() => void vi.useRealTimers())
    const { up, publish } = queue()
    const session = up(new SteppedSession())
    const outcome = vi.fn()
    publish('a1').catch(outcome)
    await vi.advanceTimersByTimeAsync(14_900)
    expect(outcome).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(600)
    expect(outcome).toHaveBeenCalledWith(expect.objectContaining(UNKNOWN))
    // Its answer concerns no publish any more.
    const next = publish('a2')
    session.appended(1)
    await vi.advanceTimersByTimeAsync(0)
    expect(session.numbers).toEqual(['1', '2'])
    session.appended(2)
    expect(await next).toEqual(receipt(2))
  })

  it('settles everything when it is closed without a link', async () => {
    const { appends, up, publish } = queue()
    const session = up(new SteppedSession())
    const [sent, waiting] = [publish('a1'), publish('a2')]
    session.sent[0]!.answer.reject(new LinkEnded(undefined))
    appends.down(new Error('ended'))
    const outcomes = Promise.all([
      expect(sent).rejects.toMatchObject(UNKNOWN),
      expect(waiting).rejects.toMatchObject(UNAVAILABLE),
    ])
    await appends.close()
    await outcomes
  })

  it('settles everything when the link ends while it closes', async () => {
    const { appends, up, publish } = queue()
    const session = up(new SteppedSession())
    const outcome = expect(publish('a1')).rejects.toMatchObject(UNKNOWN)
    const closing = appends.close()
    await turn()
    session.sent[0]!.answer.reject(new LinkEnded(undefined))
    appends.down(new Error('ended'))
    await closing
    await outcome
  })
})
