import { afterEach, beforeEach, expect, it } from 'vitest'
import { memoryBroker } from '../../src/broker/memory-broker.ts'
import { Hub } from '../../src/hub/hub.ts'
import { resolveHubOptions } from '../../src/hub/options.ts'
import { newEvent } from '../../src/hub/publisher.ts'
import { Snapshots } from '../../src/state/snapshots.ts'
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
