import { createClient } from 'redis'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { RedisBroker, RedisBrokerOptions } from '../../../src/broker/redis/index.ts'
import { redisBroker } from '../../../src/broker/redis/index.ts'
import { order, trim } from '../../../src/broker/redis/scripts.ts'
import { ALL, event, selector } from '../../../src/testing/broker-contract/rig.ts'
import { manualClock } from '../../../src/testing/index.ts'
import { REDIS_MISSING } from '../../support/redis-server.ts'
import { deferred, runs, type Step, steppedBroker } from './stepped.ts'
import { brokerOf, newPrefix, serverOfFile } from './support.ts'

/** A listener that keeps the data of the events, and the number of suspect positions. */
function listening() {
  const heard: string[] = []
  return {
    heard,
    suspects: 0,
    events(batch: readonly object[]) {
      for (const item of batch) heard.push('data' in item ? String(item.data) : 'lost')
    },
    suspect() {
      this.suspects++
    },
  }
}

const publish = (broker: RedisBroker, ...names: string[]) => broker.publish(names.map((name) => [event(name)]))

describe('a broker that was not started', () => {
  const broker = redisBroker({ client: createClient() })

  it.each<[string, () => Promise<unknown>]>([
    ['publish', () => publish(broker, 'a1')],
    ['subscribe', () => broker.subscribe(selector('a'))],
    ['read', () => broker.read(undefined, selector('a'), ALL)],
    ['latest', () => broker.latest(1, selector('a'), ALL)],
  ])('refuses %s', async (_, call) => {
    await expect(call()).rejects.toMatchObject({
      code: 'ERR_SSE_BROKER_UNAVAILABLE',
      detail: 'The broker was not started.',
    })
  })

  it('is down', () => {
    expect(broker.stats()).toEqual({
      ...{ state: 'down', links: 0, syncs: 0, suspects: 0, holes: 0 },
      ...{ repeated: 0, malformed: 0, roundTripMs: 0 },
    })
  })
})

describe.skipIf(REDIS_MISSING)('a started broker', { timeout: 30_000 }, () => {
  const on = serverOfFile()

  async function started(options: Partial<RedisBrokerOptions> = {}) {
    const prefix = newPrefix()
    const broker = brokerOf(on.url, { prefix, ...options })
    await broker.start(listening())
    return { broker, prefix }
  }

  /** A broker that subscribes to channel a, and a function that sends a message of another life of the log. */
  async function stepped(step: Step) {
    const prefix = newPrefix()
    const reports: string[] = []
    const onError = (error: Error & { detail?: string }) => void reports.push(error.detail!)
    const broker = steppedBroker(on.url, { prefix, onError }, step)
    const listener = listening()
    await broker.start(listener)
    await broker.subscribe(selector('a'))
    const foreign = (epoch: string) =>
      on.server.command('PUBLISH', `{${prefix}}:e:a`, `${epoch} a\n1 0 1 t\t\t\nforeign`)
    return { broker, listener, foreign, prefix, reports, syncs: broker.stats().syncs }
  }

  it('serves one hub', async () => {
    const { broker } = await started()
    await expect(broker.start(listening())).rejects.toThrow('one hub')
  })

  it('listens to a channel until its last subscription ends', async () => {
    const { broker, prefix } = await started()
    const of = selector('a')
    await broker.subscribe(of)
    await broker.subscribe(of)
    const listeners = () => on.server.command('PUBSUB', 'NUMSUB', `{${prefix}}:e:a`)
    broker.unsubscribe(of)
    broker.unsubscribe(selector('a'))
    await broker.subscribe(selector('b'))
    expect(await listeners()).toContain(':1\r\n')
    broker.unsubscribe(of)
    broker.unsubscribe(of)
    await expect.poll(listeners).toContain(':0\r\n')
  })

  it('reports once that the server has no append-only file', async () => {
    const onError = vi.fn()
    const { broker } = await started({ onError })
    expect(onError).toHaveBeenCalledWith(expect.objectContaining({ detail: expect.stringContaining('append-only') }))
    await on.server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
    await expect.poll(() => broker.stats()).toMatchObject({ state: 'live', links: 2 })
    const warnings = onError.mock.calls.filter(([{ detail }]) => detail.includes('append-only'))
    expect(warnings).toHaveLength(1)
  })

  it('drops expired events of quiet channels, but not of a channel without a maximum age', async () => {
    const clock = manualClock()
    const trims = vi.fn()
    const prefix = newPrefix()
    const history = { maxAgeMs: 60_000, channels: { old: { maxAgeMs: 0 } } }
    const broker = steppedBroker(on.url, { prefix, clock, history }, (args, ask) => {
      if (runs(args, trim)) trims(args)
      return ask()
    })
    await broker.start(listening())
    await publish(broker, 'a1', 'old1')
    const length = async (name: string) => on.server.command('LLEN', `{${prefix}}:c:${name}`)
    clock.advance(120_000)
    await expect.poll(() => length('a'), { timeout: 5_000 }).toBe(':0\r\n')
    expect(await length('old')).toBe(':1\r\n')
    const [args] = trims.mock.calls.at(-1)! as [string[]]
    expect(args.slice(args.indexOf('old'))).toEqual(['old', '', '1000'])
  })

  it('reads the log once when a message of another life arrives, and ignores that life', async () => {
    const { broker, listener, foreign, syncs } = await stepped((_, ask) => ask())
    await foreign('ZZZZZZ')
    await expect.poll(() => broker.stats()).toMatchObject({ syncs: syncs + 1, state: 'live' })
    await foreign('ZZZZZZ')
    await publish(broker, 'a1')
    await expect.poll(() => listener.heard).toEqual(['a1'])
    expect(broker.stats()).toMatchObject({ syncs: syncs + 1, links: 1 })
  })

  it('reads the log again when a message of a third life arrives during the sync', async () => {
    const reading = deferred<void>()
    const entered = deferred<void>()
    let isHeld = false
    const { broker, listener, foreign, syncs } = await stepped(async (args, ask) => {
      if (!isHeld || !runs(args, order)) return ask()
      isHeld = false
      entered.resolve()
      await reading.promise
      return ask()
    })
    isHeld = true
    await foreign('YYYYYY')
    await entered.promise
    await foreign('ZZZZZZ')
    await publish(broker, 'a1')
    expect(listener.heard).toEqual([])
    reading.resolve()
    await expect.poll(() => broker.stats()).toMatchObject({ state: 'live', syncs: syncs + 2 })
    await expect.poll(() => listener.heard).toEqual(['a1'])
    expect([listener.suspects, broker.stats().holes]).toEqual([0, 0])
  })

  it('reads the log again when more messages arrive during a sync than it holds', async () => {
    const reading = deferred<void>()
    let isHeld = false
    const { broker, listener, foreign, prefix, syncs } = await stepped(async (args, ask) => {
      if (!isHeld || !runs(args, order)) return ask()
      isHeld = false
      await reading.promise
      return ask()
    })
    isHeld = true
    await foreign('ZZZZZZ')
    await expect.poll(() => broker.stats().state).toBe('syncing')
    const message = 'ZZZZZZ a\n1 0 1 t\t\t\nforeign'
    const flood = "for i = 1, 10001 do redis.call('PUBLISH', KEYS[1], ARGV[1]) end"
    await on.server.command('EVAL', flood, '1', `{${prefix}}:e:a`, message)
    await publish(broker, 'a1')
    // Its own channel brings the answer to a request that was sent after all of them.
    await broker.read(undefined, selector('a'), ALL)
    reading.resolve()
    await expect.poll(() => broker.stats()).toMatchObject({ state: 'live', syncs: syncs + 2 })
    await expect.poll(() => listener.heard).toEqual(['a1'])
  })

  it('takes another link when a sync is refused', async () => {
    let isRefused = false
    const { broker, listener, foreign, reports } = await stepped((args, ask) => {
      if (!isRefused || !runs(args, order)) return ask()
      isRefused = false
      return Promise.reject(new Error('NOPERM User hub has no permissions'))
    })
    isRefused = true
    await foreign('ZZZZZZ')
    await expect.poll(() => broker.stats()).toMatchObject({ state: 'live', links: 2 })
    expect(reports).toContainEqual(expect.stringContaining('lacks a right'))
    await publish(broker, 'a1')
    await expect.poll(() => listener.heard).toEqual(['a1'])
  })

  it('takes another link when its link ends during a sync, and reports that once', async () => {
    let isHeld = false
    const { broker, listener, foreign, reports } = await stepped((args, ask) => {
      if (!isHeld || !runs(args, order)) return ask()
      isHeld = false
      void on.server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
      return new Promise(() => {})
    })
    isHeld = true
    await foreign('ZZZZZZ')
    await expect.poll(() => broker.stats()).toMatchObject({ state: 'live', links: 2 })
    expect(reports.filter((text) => text.includes('cannot be reached'))).toHaveLength(1)
    await publish(broker, 'a1')
    await expect.poll(() => listener.heard).toEqual(['a1'])
  })

  it('rejects a subscription that is not confirmed within five seconds, and forgets it', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    let isHeld = false
    const { broker, prefix, foreign } = await stepped((args, ask) =>
      isHeld && runs(args, order) ? new Promise(() => {}) : ask(),
    )
    isHeld = true
    await foreign('ZZZZZZ')
    await vi.waitFor(() => expect(broker.stats().state).toBe('syncing'))
    const of = selector('b')
    const refused = expect(broker.subscribe(of)).rejects.toMatchObject({ code: 'ERR_SSE_BROKER_UNAVAILABLE' })
    await vi.advanceTimersByTimeAsync(5_100)
    await refused
    const listeners = () => on.server.command('PUBSUB', 'NUMSUB', `{${prefix}}:e:b`)
    vi.useRealTimers()
    await expect.poll(listeners).toContain(':0\r\n')
  })
})
