import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryBroker } from '../../src/broker/memory-broker.ts'
import { Hub } from '../../src/hub/hub.ts'
import { resolveHubOptions } from '../../src/hub/options.ts'
import { newEvent } from '../../src/hub/publisher.ts'
import { Snapshots } from '../../src/state/snapshots.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { FakeSubscriber } from '../support/fake-subscriber.ts'
import { ScriptedBroker } from '../support/scripted-broker.ts'
import { subscribe } from '../support/subscribe.ts'

let hub: Hub
let calls: number
/** The function of `held` answers when this is called. */
let release: () => void

function withState(broker: ConstructorParameters<typeof Hub>[0]): void {
  hub = new Hub(broker, resolveHubOptions({}))
  calls = 0
  const snapshots = new Snapshots(hub)
  snapshots.register('s', () => ++calls, { maxAgeMs: 0 })
  snapshots.register('t', () => 'large', { maxAgeMs: 0 })
  snapshots.register('held', () => new Promise((resolve) => (release = () => resolve('state'))), {})
  hub.snapshots = snapshots
}
const turns = async () => {
  for (let i = 0; i < 12; i++) await new Promise<void>((resolve) => setImmediate(resolve))
}
const types = (stream: FakeSubscriber) => stream.received.map(({ event }) => event)

beforeEach(() => withState(memoryBroker()))
afterEach(async () => {
  await hub.close({})
  expect(hub.stats()).toMatchObject({ streams: 0, subscriptions: 0, channels: 0 })
})

it('a client that leaves between two snapshots has not begun, and subscribe() resolves', async () => {
  const begun: string[] = []
  hub.on('subscribe', () => begun.push('subscribe'))
  hub.on('unsubscribe', () => begun.push('unsubscribe'))
  const stream = new FakeSubscriber()
  stream.stall()
  const subscribed = subscribe(hub, stream, ['s', 't'])
  await turns()
  expect(types(stream)).not.toContain('hub.snapshot')
  stream.close('client')
  expect((await subscribed).state).toBe('closed')
  expect(begun).toEqual([])
})

it('snapshots go out at the pace of the peer, and nothing comes between them', async () => {
  const stream = new FakeSubscriber()
  stream.stall()
  const subscribed = subscribe(hub, stream, ['s', 't'])
  await turns()
  hub.publish([newEvent('s', 'meanwhile', {}, 1_000)]).catch(() => {})
  for (let i = 0; i < 4; i++) {
    stream.drain()
    stream.stall()
    await turns()
    expect(stream.heartbeat()).toBeUndefined()
  }
  stream.drain()
  await turns()
  expect((await subscribed).state).toBe('live')
  expect(types(stream)).toEqual(['hub.open', 'hub.snapshot', 'hub.snapshot', undefined])
  expect(stream.received.map(({ id }) => id !== undefined)).toEqual([false, false, true, true])
})

it('a new epoch of the log makes the snapshots of live streams due, without a word of the broker about losses', async () => {
  const broker = new ScriptedBroker()
  withState(broker)
  const stream = new FakeSubscriber()
  const subscribed = subscribe(hub, stream, 's')
  const run = async () => {
    for (let i = 0; i < 6; i++) {
      broker.confirm()
      broker.serve()
      broker.deliver()
      await turns()
    }
  }
  await run()
  expect((await subscribed).state).toBe('live')
  expect(calls).toBe(1)
  broker.failOver(0, 'BBBBBB', 'events')
  await run()
  expect(types(stream)).toEqual(['hub.open', 'hub.snapshot', 'hub.snapshot'])
  expect(stream.received.at(-1)!.id).toMatch(/^BBBBBB\./)
  expect(calls).toBe(2)
})

it('a page of a channel with state is joined once for all clients that resume with it', async () => {
  const { id } = (await hub.publish([newEvent('s', 0, {}, 1_000)]))[0]!
  for (let i = 1; i < 20; i++) await hub.publish([newEvent('s', i, {}, 1_000)])
  const streams = Array.from({ length: 3 }, () => new FakeSubscriber(id))
  const frames = new Set<unknown>()
  for (const stream of streams) {
    const write = stream.write.bind(stream)
    stream.write = (frame) => {
      if (frame.length > 200) frames.add(frame)
      return write(frame)
    }
  }
  await Promise.all(streams.map((stream) => subscribe(hub, stream, 's')))
  for (const stream of streams) expect(stream.received).toHaveLength(20)
  expect(frames.size).toBe(1)
})

it('add() of a channel with state resolves when its snapshot is written, or the client has left', async () => {
  const stream = new FakeSubscriber()
  const subscription = await subscribe(hub, stream, 'a')
  const log: string[] = []
  const added = subscription.add('held').then(() => log.push('added'))
  await turns()
  expect(log).toEqual([])
  release()
  await added
  expect(types(stream)).toEqual(['hub.open', 'hub.snapshot'])

  const other = new FakeSubscriber()
  const leaving = await subscribe(hub, other, 'a')
  await hub.publish([newEvent('held', 'newer', {}, 1_000)])
  const never = leaving.add('held').then(() => log.push('added to none'))
  await turns()
  other.close('client')
  await never
  expect(types(other)).toEqual(['hub.open'])
  release()
})

describe('events()', () => {
  const take = async (count: number, names: string[], init: Parameters<Hub['events']>[1]) => {
    const reader = hub.events(names, init)
    const items: unknown[] = []
    while (items.length < count) items.push((await reader.next()).value)
    reader.end()
    return items
  }

  it('yields the state in place of a trimmed gap, and the gap of an ordinary channel beside it', async () => {
    withState(memoryBroker({ history: { maxEvents: 1 } }))
    for (let i = 0; i < 3; i++) await hub.publish([newEvent('s', i, {}, 1_000), newEvent('plain', i, {}, 1_000)])
    const { epoch } = hub.tail.top
    expect(await take(3, ['s', 'plain'], { after: `${epoch}.0` })).toMatchObject([
      { snapshot: true, channel: 's', data: 1, id: `${epoch}.3` },
      { gap: true, reason: 'trimmed', channels: ['plain'], to: `${epoch}.4` },
      { channel: 'plain', data: 2, id: `${epoch}.6` },
    ])
  })

  it('yields the state before the events of a rewind, without those that it contains', async () => {
    for (let i = 0; i < 3; i++) await hub.publish([newEvent('s', i, {}, 1_000), newEvent('plain', i, {}, 1_000)])
    expect(await take(3, ['s', 'plain'], { rewind: 2 })).toMatchObject([
      { snapshot: true, channel: 's' },
      { channel: 'plain', data: 1 },
      { channel: 'plain', data: 2 },
    ])
  })

  it('yields the channels of a pattern that have state, and a gap for a position that means nothing', async () => {
    const snapshots = hub.snapshots as Snapshots
    snapshots.register('p.*', (channel) => channel, { list: () => ['p.1', 'p.2', 'other'] })
    snapshots.register('none', () => undefined, undefined)
    expect(await take(4, ['p.*', 'plain', 'none'], { after: 'nonsense' })).toMatchObject([
      { gap: true, reason: 'bad-cursor', channels: ['plain', 'none'], from: null },
      { snapshot: true, channel: 'p.*', channels: ['p.1', 'p.2'] },
      { snapshot: true, channel: 'p.1', data: 'p.1' },
      { snapshot: true, channel: 'p.2', data: 'p.2' },
    ])
  })

  it('treats a channel whose function returns undefined as an ordinary one', async () => {
    withState(memoryBroker({ history: { maxEvents: 1 } }))
    const snapshots = hub.snapshots as Snapshots
    snapshots.register('none', () => undefined, undefined)
    for (let i = 0; i < 3; i++) await hub.publish([newEvent('none', i, {}, 1_000)])
    const { epoch } = hub.tail.top
    expect(await take(2, ['none'], { after: `${epoch}.0` })).toMatchObject([
      { gap: true, channels: ['none'], to: `${epoch}.2` },
      { channel: 'none', data: 2 },
    ])
  })

  it('reads its position again when the epoch of the log changes while a function runs', async () => {
    const broker = new ScriptedBroker()
    withState(broker)
    const reader = hub.events(['held'], {})
    const first = reader.next()
    const run = async () => {
      for (let i = 0; i < 6; i++) {
        broker.confirm()
        broker.serve()
        broker.deliver()
        await turns()
      }
    }
    // The position is read before the change, and the end of the log for the answer after it.
    broker.confirm()
    await turns()
    broker.confirm()
    await turns()
    broker.serve()
    broker.deliver()
    await turns()
    broker.failOver(0, 'BBBBBB')
    await run()
    release()
    await run()
    release()
    await run()
    expect((await first).value).toMatchObject({ snapshot: true, channel: 'held', data: 'state' })
    expect(String(((await first).value as { id: string }).id)).toMatch(/^BBBBBB\./)
    reader.end()
  })
})

describe('a snapshot function', () => {
  const opened = async (channel: string) => {
    const errors: string[] = []
    hub.on('error', (error) => errors.push((error as Error).message))
    const stream = new FakeSubscriber()
    await subscribe(hub, stream, channel)
    await turns()
    return { stream, errors }
  }

  it('that returns data without JSON, or too much, ends the stream and is reported by name', async () => {
    const snapshots = hub.snapshots as Snapshots
    snapshots.register('function', () => () => {}, undefined)
    snapshots.register('huge', () => 'x'.repeat(8 * 1_048_576), undefined)
    const { stream, errors } = await opened('function')
    expect(stream.reason).toBe('error')
    expect(errors).toEqual(['The snapshot of function must be data that JSON has a text for.'])
    expect((await opened('huge')).errors).toEqual([
      'The snapshot of huge must have at most 8388608 bytes (8 × `maxEventBytes`).',
    ])
  })

  it('that takes over 10 s is aborted, and ends the stream', async () => {
    const clock = manualClock()
    hub = new Hub(memoryBroker({ clock }), resolveHubOptions({ clock }))
    const snapshots = new Snapshots(hub)
    let signal: AbortSignal | undefined
    snapshots.register(
      'slow',
      (_channel, context) => {
        signal = context.signal
        return new Promise(() => {})
      },
      undefined,
    )
    hub.snapshots = snapshots
    const stream = new FakeSubscriber()
    const subscribed = subscribe(hub, stream, 'slow')
    await turns()
    // The head is out, so the 5 s for the first page no longer count.
    clock.advance(9_000)
    await turns()
    expect(stream.state).toBe('open')
    clock.advance(1_100)
    await subscribed
    expect(stream.reason).toBe('error')
    expect(signal?.aborted).toBe(true)
  })
})
