import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Broker } from '../../src/broker/broker.ts'
import { memoryBroker } from '../../src/broker/memory-broker.ts'
import type { HistoryOptions } from '../../src/broker/retention.ts'
import { pattern } from '../../src/channel-name.ts'
import { SseError } from '../../src/errors.ts'
import { Hub } from '../../src/hub/hub.ts'
import { type HubOptions, resolveHubOptions } from '../../src/hub/options.ts'
import { newEvent, type PublishOptions } from '../../src/hub/publisher.ts'
import type { SubscribeOptions, SubscribeRequest } from '../../src/hub/subscribe-request.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { FakeSubscriber } from '../support/fake-subscriber.ts'
import { ScriptedBroker } from '../support/scripted-broker.ts'
import { subscribe as subscribeTo } from '../support/subscribe.ts'

let clock: ReturnType<typeof manualClock>
let hub: Hub
let errors: unknown[]

function make(options: Omit<HubOptions, 'broker' | 'clock'> = {}, history: HistoryOptions = {}, broker?: Broker): void {
  clock = manualClock()
  hub = new Hub(broker ?? memoryBroker({ clock, history }), resolveHubOptions({ ...options, clock }))
  errors = []
  hub.on('error', (error) => errors.push(error))
}

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const turns = async (count = 8) => {
  for (let i = 0; i < count; i++) await turn()
}
const publish = async (channel: string, data: unknown, options?: PublishOptions) =>
  (await hub.publish([newEvent(channel, data, options, 1_048_576)]))[0]!
const subscribe = async (
  channels: string | string[],
  { envelope, ...init }: Omit<SubscribeOptions, 'after'> = {},
  admission: Pick<SubscribeRequest, 'until' | 'authorize' | 'address'> = {},
  after = '',
) => {
  const stream = new FakeSubscriber(after)
  const form = envelope === true ? 'envelope' : 'plain'
  const subscription = await subscribeTo(hub, stream, channels, {
    form,
    ...init,
    ...admission,
  } as Partial<SubscribeRequest>)
  return { stream, subscription }
}
/** A live subscription on a log whose every step is taken by hand. */
async function liveOnScript(options: Parameters<typeof make>[0] = {}, after = '') {
  const broker = new ScriptedBroker()
  make(options, {}, broker)
  const stream = new FakeSubscriber(after)
  const outcome = subscribeTo(hub, stream, 'a')
  await turns()
  broker.confirm()
  await turns()
  broker.serve()
  broker.deliver()
  return { broker, stream, subscription: await outcome }
}
/** The events that a page receives: types and data, without the events of the hub. */
const data = (stream: FakeSubscriber) =>
  stream.received.filter(({ event }) => !event?.startsWith('hub.')).map((e) => e.data)
const types = (stream: FakeSubscriber) => stream.received.map(({ event }) => event)
const notices = (stream: FakeSubscriber, type: string) =>
  stream.received.filter(({ event }) => event === type).map(({ id, data }) => ({ id, ...JSON.parse(data) }))

beforeEach(() => make())
afterEach(async () => {
  await hub.close({})
  expect(hub.stats()).toMatchObject({ streams: 0, subscriptions: 0, channels: 0, bufferedBytes: 0 })
})

describe('joining', () => {
  it('begins at the end of the log with hub.open, which has the position as its id', async () => {
    const { id } = await publish('a', 'before')
    const { stream, subscription } = await subscribe('a')
    expect(types(stream)).toEqual(['hub.open'])
    expect(notices(stream, 'hub.open')).toEqual([
      { id, channels: ['a'], resumed: false, heartbeatIntervalMs: 15_000, envelope: false },
    ])
    expect(stream.text).toMatch(/^retry: 2000\nevent: hub.open\nid: /)
    expect(subscription).toMatchObject({ state: 'live', resumed: false, position: id, channels: ['a'] })
  })

  it('reports a position of another log, and continues from the end without an id on hub.open', async () => {
    const { id } = await publish('a', 'before')
    const { stream, subscription } = await subscribe('a', {}, {}, 'zzzzzz.5')
    expect(notices(stream, 'hub.open')).toEqual([
      { channels: ['a'], resumed: false, heartbeatIntervalMs: 15_000, envelope: false },
    ])
    expect(notices(stream, 'hub.gap')).toEqual([
      { id, reason: 'unknown-epoch', channels: ['a'], from: 'zzzzzz.5', to: id },
    ])
    expect(subscription.resumed).toBe(false)
    expect(hub.stats()).toMatchObject({ resumed: { 'unknown-epoch': 1 }, gaps: { 'unknown-epoch': 1 } })
  })

  it('reports a position past the end of the log', async () => {
    const { id } = await publish('a', 'before')
    const after = id.replace(/\..*/, '.zz')
    const { stream } = await subscribe('a', {}, {}, after)
    expect(notices(stream, 'hub.gap')).toEqual([{ id, reason: 'diverged', channels: ['a'], from: after, to: id }])
    expect(notices(stream, 'hub.open')[0]).not.toHaveProperty('id', expect.any(String))
  })

  it('reports a malformed position as a gap, never as an error', async () => {
    const { stream } = await subscribe(['a', 'b'], {}, {}, 'garbage')
    expect(notices(stream, 'hub.gap')).toMatchObject([{ reason: 'bad-cursor', channels: ['a', 'b'], from: null }])
  })

  it('rewinds only without a usable position', async () => {
    const ids: string[] = []
    for (const [channel, text] of [
      ['a', 'a1'],
      ['b', 'b1'],
      ['a', 'a2'],
      ['a', 'a3'],
      ['b', 'b2'],
    ] as const) {
      ids.push((await publish(channel, text)).id)
    }
    const fresh = await subscribe(['a', 'b'], { rewind: 2 })
    expect(data(fresh.stream)).toEqual(['b1', 'a2', 'a3', 'b2'])
    expect(notices(fresh.stream, 'hub.open')[0].id).toBe(ids[0])
    const resumed = await subscribe(['a', 'b'], { rewind: 2 }, {}, ids[3])
    expect(data(resumed.stream)).toEqual(['b2'])
    const unknown = await subscribe(['a', 'b'], { rewind: 1 }, {}, 'zzzzzz.1')
    expect(types(unknown.stream)).toEqual(['hub.open', 'hub.gap', undefined, undefined])
    expect(notices(unknown.stream, 'hub.gap')).toMatchObject([{ reason: 'unknown-epoch', id: ids[2], to: ids[2] }])
    expect(data(unknown.stream)).toEqual(['a3', 'b2'])
    const bad = await subscribe('a', { rewind: 5 }, {}, '!')
    expect(data(bad.stream)).toEqual(['a1', 'a2', 'a3'])
    const nothing = await subscribe('c', { rewind: 5 })
    expect(notices(nothing.stream, 'hub.open')[0].id).toBe(ids[4])
  })

  it('replays several channels and patterns from one position, in the order of the log', async () => {
    const { id } = await publish('x', 0)
    for (const channel of ['a', 'b.1', 'c', 'a', 'b.2']) await publish(channel, channel)
    const { stream, subscription } = await subscribe(['b.*', 'a'], {}, {}, id)
    expect(data(stream)).toEqual(['a', 'b.1', 'a', 'b.2'])
    expect(subscription.resumed).toBe(true)
    expect(notices(stream, 'hub.open')[0]).toMatchObject({ id, resumed: true })
    expect(hub.stats().resumed.resumed).toBe(1)
  })

  it('shares one read among clients that reconnect with the same position', async () => {
    const broker = new ScriptedBroker()
    make({}, {}, broker)
    const streams = Array.from({ length: 50 }, () => new FakeSubscriber('AAAAAA.0'))
    for (const stream of streams) subscribeTo(hub, stream, 'a').catch(() => {})
    await turns()
    for (let i = 0; i < 50; i++) broker.confirm()
    await turns()
    expect(broker.waiting.unserved).toBe(1)
    broker.append('a')
    broker.serve()
    broker.deliver()
    await turns()
    expect(streams.every((stream) => data(stream).length === 1)).toBe(true)
    for (const stream of streams) stream.close('client')
  })

  it('has at most 16 reads in progress', async () => {
    const broker = new ScriptedBroker()
    make({}, {}, broker)
    const streams = Array.from({ length: 40 }, () => new FakeSubscriber())
    for (const [i, stream] of streams.entries()) subscribeTo(hub, stream, `c${i}`).catch(() => {})
    await turns()
    for (const _ of streams) broker.confirm()
    await turns()
    expect(broker.waiting.unserved).toBe(16)
    // No read is made for clients that have left.
    for (const stream of streams.slice(16)) stream.close('client')
    for (let i = 0; i < 16; i++) {
      broker.serve()
      broker.deliver()
    }
    await turns()
    expect(broker.waiting.unserved).toBe(0)
    for (const stream of streams) stream.close('client')
  })

  it('is refused with the stream untouched when the broker does not answer within 5 s', async () => {
    const broker = new ScriptedBroker()
    make({}, {}, broker)
    const stream = new FakeSubscriber()
    const outcome = subscribeTo(hub, stream, 'a')
    await turns()
    clock.advance(5_000)
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_SSE_OVERLOADED' })
    expect(stream).toMatchObject({ state: 'idle', text: '' })
    broker.confirm()
    await turns()
    expect(broker.subscribed).toBe(0)
  })

  it('is refused when the broker refuses it', async () => {
    const broker = new ScriptedBroker()
    make({}, {}, broker)
    const outcome = subscribeTo(hub, new FakeSubscriber(), 'a')
    await turns()
    broker.refuseSubscription(new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'gone'))
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_SSE_BROKER_UNAVAILABLE' })
  })

  it('leaves nothing behind when the client leaves at any await', async () => {
    for (let leaveAt = 0; leaveAt < 6; leaveAt++) {
      const broker = new ScriptedBroker()
      make({}, {}, broker)
      const stream = new FakeSubscriber()
      const outcome = subscribeTo(hub, stream, 'a')
      const steps = [() => broker.confirm(), turn, () => broker.serve(), () => broker.deliver(), turn]
      for (const [i, step] of steps.entries()) {
        if (i === leaveAt) stream.close('client')
        await step()
        await turn()
      }
      stream.close('client')
      expect((await outcome).state).toBe('closed')
      for (const step of steps) await step()
      expect(broker.subscribed).toBe(0)
      expect(hub.stats()).toMatchObject({ streams: 0, subscriptions: 0, channels: 0 })
    }
  })

  it('is closed from the start on a stream that has ended', async () => {
    const stream = new FakeSubscriber()
    stream.close('client')
    expect((await subscribeTo(hub, stream, 'a')).state).toBe('closed')
  })

  it('retries a first read that fails, within its time', async () => {
    const broker = new ScriptedBroker()
    make({}, {}, broker)
    const stream = new FakeSubscriber()
    const outcome = subscribeTo(hub, stream, 'a')
    await turns()
    broker.confirm()
    await turns()
    broker.failRead(new Error('not now'))
    await turns()
    clock.advance(100)
    await turns()
    broker.serve()
    broker.deliver()
    expect((await outcome).state).toBe('live')
    expect(errors).toEqual([new Error('not now')])
    stream.close('client')
  })
})

describe('live and lagging', () => {
  it('writes the events of one turn in one write, in the order of the log, whatever their channels', async () => {
    const { stream } = await subscribe(['a', 'b'])
    const before = stream.writes
    await Promise.all([publish('a', 1), publish('b', 2), publish('a', 3)])
    expect(data(stream)).toEqual(['1', '2', '3'])
    expect(stream.writes - before).toBe(1)
  })

  it('hears an event once on a stream that matches twice', async () => {
    const { stream } = await subscribe(['a.*', 'a.x', '>'])
    const { localSubscribers } = await publish('a.x', 1)
    expect(data(stream)).toEqual(['1'])
    expect(localSubscribers).toBe(1)
  })

  it('writes nothing to a reader that is behind, and serves it from the log when it has drained', async () => {
    const heard: string[] = []
    hub.on('lagging', (subscription) => heard.push(subscription.id))
    const { stream, subscription } = await subscribe('a')
    stream.stall()
    await publish('a', 0)
    expect(subscription.state).toBe('lagging')
    expect(heard).toEqual([subscription.id])
    for (let i = 1; i <= 600; i++) publish('a', i).catch(() => {})
    await turns()
    expect(data(stream)).toEqual(['0'])
    expect(subscription.position).toBe(stream.received.at(-1)!.id)
    stream.drain()
    await turns()
    expect(data(stream)).toEqual(Array.from({ length: 601 }, (_, i) => String(i)))
    expect(subscription.state).toBe('live')
    expect(hub.stats()).toMatchObject({ delivered: 601, lagged: 1 })
  })

  it('replays one page to a peer that takes nothing, and the rest when it has drained', async () => {
    const { id } = await publish('a', 'before')
    for (let i = 0; i < 600; i++) publish('a', i).catch(() => {})
    await turns()
    const stream = new FakeSubscriber(id)
    stream.stall()
    const subscription = await subscribeTo(hub, stream, 'a')
    await turns()
    expect(data(stream)).toHaveLength(250)
    expect(subscription.state).toBe('replaying')
    stream.drain()
    await turns()
    expect(data(stream)).toHaveLength(600)
    expect(subscription.state).toBe('live')
  })

  it('reports one exact gap when history has moved past a lagging reader', async () => {
    make({}, { maxEvents: 3 })
    const { stream } = await subscribe('a')
    stream.stall()
    const { id: from } = await publish('a', 0)
    // More than memory keeps beside the history.
    const items = Array.from({ length: 10_500 }, (_, i) => i)
    for (const i of items) publish('a', i).catch(() => {})
    await turns(30)
    stream.drain()
    await turns()
    const [gap, ...more] = notices(stream, 'hub.gap')
    expect(more).toEqual([])
    expect(gap).toMatchObject({ reason: 'trimmed', channels: ['a'], from })
    expect(data(stream)).toEqual(['0', '10497', '10498', '10499'])
  })

  it('reports a loss before it continues from memory', async () => {
    // A reader whose read is cut in two by the size of a page, in front of an event that memory has and history has not.
    make({}, { maxEvents: 1_000, channels: { quiet: { maxEvents: 0 } } })
    const { id } = await publish('noise', 'first')
    await publish('quiet', 1)
    for (let i = 0; i < 10_000; i++) publish(i < 900 ? 'noise' : 'other', i).catch(() => {})
    await turns(40)
    await publish('quiet', 2)
    const { stream } = await subscribe(['noise', 'quiet'], {}, {}, id)
    await turns(20)
    expect(notices(stream, 'hub.gap').flatMap(({ channels }) => channels)).toEqual(['quiet'])
    expect(data(stream).length).toBe(900)
  })

  it('closes a reader without progress after maxLagMs, and not one with some', async () => {
    make({ maxLagMs: 20_000 })
    const { stream } = await subscribe('a')
    const { stream: dead } = await subscribe('a')
    stream.stall()
    dead.stall()
    await publish('a', 1)
    for (let i = 0; i < 5; i++) {
      clock.advance(5_000)
      stream.bufferedBytes -= 1
    }
    expect(dead.reason).toBe('slow')
    expect(stream.state).toBe('open')
    expect(hub.stats().closes.slow).toBe(1)
    stream.drain()
    await turns()
    clock.advance(60_000)
    expect(stream.state).toBe('open')
  })

  it("closes a reader that falls behind at once with slowSubscriber: 'disconnect'", async () => {
    make({ slowSubscriber: 'disconnect' })
    const { stream } = await subscribe('a')
    stream.stall()
    await publish('a', 1)
    expect(stream.reason).toBe('slow')
  })

  it('conflates events of one key for a client that reconnects, and never for a live one', async () => {
    const { id } = await publish('a', 'start')
    const { stream: live } = await subscribe('a')
    await Promise.all([
      publish('a', 1, { conflationKey: 'k' }),
      publish('a', 2, { conflationKey: 'l' }),
      publish('a', 3),
      publish('a', 4, { conflationKey: 'k' }),
      publish('b', 5, { conflationKey: 'k' }),
    ])
    expect(data(live)).toEqual(['1', '2', '3', '4'])
    const { stream } = await subscribe(['a', 'b'], {}, {}, id)
    expect(data(stream)).toEqual(['2', '3', '4', '5'])
    expect(notices(stream, 'hub.gap')).toEqual([])
  })

  it('sends the envelope to streams that requested it, each event made once', async () => {
    const { stream } = await subscribe(['a'], { envelope: true })
    const { stream: plain } = await subscribe(['a'])
    await publish('a', '5', { event: 'n' })
    await publish('a', 5)
    expect(data(stream)).toEqual(['{"channel":"a","event":"n","data":"5"}', '{"channel":"a","data":5}'])
    expect(data(plain)).toEqual(['5', '5'])
    expect(types(stream)).toEqual(['hub.open', undefined, undefined])
  })

  it('retries a failing read while it lags, and closes with error when that takes too long', async () => {
    const broker = new ScriptedBroker()
    make({ maxLagMs: 10_000 }, {}, broker)
    const outcome = subscribeTo(hub, new FakeSubscriber(), 'a')
    await turns()
    broker.confirm()
    await turns()
    broker.serve()
    broker.deliver()
    const subscription = await outcome
    broker.append('a')
    broker.breakLink()
    for (let i = 0; i < 40 && subscription.state !== 'closed'; i++) {
      await turns()
      broker.failRead(new Error('down'))
      await turns()
      clock.advance(1_000)
    }
    expect(subscription.state).toBe('closed')
    expect(hub.stats().closes.error).toBe(1)
  })

  it('continues every reader at its position when the link to the log broke', async () => {
    const { broker, stream } = await liveOnScript()
    broker.append('a')
    broker.breakLink()
    await turns()
    broker.serve()
    broker.deliver()
    await turns()
    expect(data(stream)).toEqual(['a 1'])
    stream.close('client')
  })
})

describe('heartbeats', () => {
  it('send the position to live streams when it has moved, once, made once for all', async () => {
    const { stream } = await subscribe('a')
    const { stream: other } = await subscribe('b')
    expect(stream.heartbeat()).toBeUndefined()
    const { id } = await publish('elsewhere', 1)
    const frame = stream.heartbeat()
    expect(frame?.bytes.toString()).toBe(`event: hub.position\nid: ${id}\ndata: {}\n\n`)
    expect(other.heartbeat()).toBe(frame)
    expect(stream.heartbeat()).toBeUndefined()
  })

  it('send no position to a stream that is behind', async () => {
    const { stream } = await subscribe('a')
    stream.stall()
    await publish('a', 1)
    stream.bufferedBytes = 0
    expect(stream.heartbeat()).toBeUndefined()
  })
})

describe('add and remove', () => {
  it('start an added channel at the position of the stream, with no second hub.open', async () => {
    const { stream, subscription } = await subscribe('a')
    await publish('b', 'before')
    await subscription.add(['b', pattern('c.*')])
    await publish('b', 1)
    await publish('c.x', 2)
    await publish('a', 3)
    await turns()
    expect(data(stream)).toEqual(['1', '2', '3'])
    expect(types(stream).filter((type) => type === 'hub.open')).toHaveLength(1)
    expect(subscription.channels).toEqual(['a', 'b', 'c.*'])
    await subscription.remove('a')
    await publish('a', 4)
    await publish('b', 5)
    await turns()
    expect(data(stream)).toEqual(['1', '2', '3', '5'])
    expect(hub.stats().channels).toBe(2)
  })

  it('refuse bad names, too many, and the last one, with nothing changed', async () => {
    make({ maxChannelsPerSubscription: 2 })
    const { stream, subscription } = await subscribe('a')
    await expect(subscription.add('no way')).rejects.toMatchObject({ code: 'ERR_SSE_CHANNEL_NAME' })
    await expect(subscription.add(['b', 'c'])).rejects.toMatchObject({ code: 'ERR_SSE_TOO_MANY_CHANNELS' })
    await expect(subscription.remove('a')).rejects.toMatchObject({ code: 'ERR_SSE_CHANNEL_REQUIRED' })
    await subscription.add('a')
    await publish('a', 1)
    expect(data(stream)).toEqual(['1'])
    subscription.close()
    await subscription.add('b')
    expect(subscription.state).toBe('closed')
  })

  it('lose nothing while events are published, and happen one after the other', async () => {
    const { stream, subscription } = await subscribe('a')
    const changes = [subscription.add('b'), subscription.add('c'), subscription.remove('b')]
    const published: Promise<unknown>[] = []
    for (let i = 0; i < 50; i++) {
      published.push(publish('a', i))
      if (i % 5 === 0) await turn()
    }
    await Promise.all([...changes, ...published])
    await turns()
    expect(data(stream)).toEqual(Array.from({ length: 50 }, (_, i) => String(i)))
    expect(subscription.channels).toEqual(['a', 'c'])
    await publish('b', 'gone')
    expect(data(stream)).toHaveLength(50)
  })

  it('change nothing when the broker refuses, and clean up when the client leaves before the answer', async () => {
    const { broker, stream, subscription } = await liveOnScript()
    const refused = subscription.add('b')
    await turns()
    broker.refuseSubscription(new Error('no'))
    await expect(refused).rejects.toThrow('no')
    expect(subscription.channels).toEqual(['a'])
    const left = subscription.add('c')
    await turns()
    stream.close('client')
    broker.confirm()
    await left
    expect(broker.subscribed).toBe(0)
  })

  it('drop a page that was read for the old channels', async () => {
    const { broker, stream, subscription } = await liveOnScript({}, 'AAAAAA.0')
    broker.breakLink()
    await turns()
    broker.serve()
    const added = subscription.add('b')
    await turns()
    broker.confirm()
    await added
    broker.append('b')
    broker.deliver()
    await turns()
    broker.serve()
    broker.deliver()
    await turns()
    expect(data(stream)).toEqual(['b 1'])
    stream.close('client')
  })
})

describe('the end', () => {
  it('comes at a heartbeat after a sleep of the machine, whether bytes wait or not', async () => {
    const until = clock.now() + 60_000
    const { stream } = await subscribe('a', {}, { until })
    const { stream: behind } = await subscribe('a', {}, { until })
    behind.stall()
    await publish('a', 1)
    const now = vi.spyOn(clock, 'now').mockReturnValue(until + 1)
    stream.heartbeat()
    behind.heartbeat()
    now.mockRestore()
    expect([stream.reason, behind.reason]).toEqual(['expired', 'expired'])
  })

  it('comes at until with hub.closed, at any distance', async () => {
    const until = clock.now() + 40 * 86_400_000
    const { stream, subscription } = await subscribe('a', {}, { until })
    clock.advance(39 * 86_400_000)
    expect(subscription.state).toBe('live')
    clock.advance(86_400_000)
    expect(stream.reason).toBe('expired')
    expect(notices(stream, 'hub.closed')).toEqual([{ id: undefined, reason: 'expired' }])
    expect(hub.stats().closes.expired).toBe(1)
  })

  it('comes by disconnect, for matching subscriptions', async () => {
    const { stream } = await subscribe('a', { info: { user: 1 } })
    const { stream: other } = await subscribe('a', { info: { user: 2 } })
    const count = hub.disconnect(({ info }) => (info as { user: number }).user === 1)
    expect(count).toBe(1)
    expect(stream.reason).toBe('revoked')
    expect(notices(stream, 'hub.closed')).toMatchObject([{ reason: 'revoked' }])
    expect(other.state).toBe('open')
  })

  it('is emitted with its reason, only for subscriptions that had begun', async () => {
    const heard: unknown[] = []
    hub.on('subscribe', (subscription) => heard.push(['subscribe', subscription.id]))
    hub.on('unsubscribe', (subscription, reason) => heard.push(['unsubscribe', subscription.id, reason]))
    const { stream, subscription } = await subscribe('a')
    stream.close('client')
    expect(heard).toEqual([
      ['subscribe', subscription.id],
      ['unsubscribe', subscription.id, 'client'],
    ])
  })

  it('by a listener in the middle of a batch skips no other subscription', async () => {
    const streams: FakeSubscriber[] = []
    const subscriptions: Subscription[] = []
    for (let i = 0; i < 5; i++) {
      const { stream, subscription } = await subscribe('a')
      streams.push(stream)
      subscriptions.push(subscription)
    }
    hub.on('lagging', () => {
      for (const subscription of subscriptions.slice(0, 3)) subscription.close()
    })
    streams[1]!.stall()
    await publish('a', 1)
    await publish('a', 2)
    expect(streams.map((stream) => data(stream).length)).toEqual([1, 1, 1, 2, 2])
  })

  it('by a write in the middle of a batch skips no other subscription', async () => {
    class Fragile extends FakeSubscriber {
      override write(frame: Parameters<FakeSubscriber['write']>[0]): boolean {
        const written = super.write(frame)
        if (frame.bytes.includes('data: 1\n')) this.close('client')
        return written
      }
    }
    const streams = [new FakeSubscriber(), new Fragile(), new FakeSubscriber(), new FakeSubscriber()]
    for (const stream of streams) await subscribeTo(hub, stream, 'a')
    await publish('a', 1)
    await publish('a', 2)
    expect(streams.map((stream) => data(stream).length)).toEqual([2, 1, 2, 2])
  })

  it('of the hub writes every accepted event, then hub.closed and a reconnection time', async () => {
    const { stream } = await subscribe('a')
    const receipt = publish('a', 'last')
    const closed = hub.close({ retryMs: [3_000, 4_000] })
    expect(hub.close({})).toBe(closed)
    await closed
    await expect(receipt).resolves.toMatchObject({ channel: 'a' })
    expect(types(stream)).toEqual(['hub.open', undefined, 'hub.closed'])
    const [, retry] = /retry: (\d+)\nevent: hub.closed/.exec(stream.text)!
    expect(Number(retry)).toBeGreaterThanOrEqual(3_000)
    expect(Number(retry)).toBeLessThanOrEqual(4_000)
    await expect(publish('a', 1)).rejects.toMatchObject({ code: 'ERR_SSE_HUB_CLOSED' })
    await expect(subscribe('a')).rejects.toMatchObject({ code: 'ERR_SSE_HUB_CLOSED' })
  })

  it('of the hub gives up on a broker that does not answer', async () => {
    const broker = new ScriptedBroker()
    make({}, {}, broker)
    const receipt = publish('a', 1)
    receipt.catch(() => {})
    await turns()
    const closed = hub.close({ timeoutMs: 1_000 })
    await turns()
    clock.advance(1_000)
    await closed
    await expect(receipt).rejects.toMatchObject({ code: 'ERR_SSE_PUBLISH_UNKNOWN' })
    expect(broker.closed).toBe(true)
  })

  it('of the hub ends many streams evenly, at least 500 a second', async () => {
    const streams: FakeSubscriber[] = []
    for (let i = 0; i < 100; i++) streams.push((await subscribe('a')).stream)
    const closed = hub.close({})
    await turns()
    const ended = () => streams.filter(({ state }) => state === 'closed').length
    expect(ended()).toBe(10)
    for (let i = 1; i < 10; i++) {
      clock.advance(20)
      await turns(2)
      expect(ended()).toBe(10 * (i + 1))
    }
    await closed
  })
})
