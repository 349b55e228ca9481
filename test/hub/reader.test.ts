import { afterEach, beforeEach, expect, it } from 'vitest'
import { memoryBroker } from '../../src/broker/memory-broker.ts'
import { Hub } from '../../src/hub/hub.ts'
import { resolveHubOptions } from '../../src/hub/options.ts'
import { newEvent } from '../../src/hub/publisher.ts'
import type { ChannelEvent, ChannelGap, Reader } from '../../src/hub/reader.ts'
import { ScriptedBroker } from '../support/scripted-broker.ts'

let hub: Hub

beforeEach(() => {
  hub = new Hub(memoryBroker({ history: { maxEvents: 5 } }), resolveHubOptions({}))
})
afterEach(async () => {
  await hub.close({})
  expect(hub.stats().channels).toBe(0)
})

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const publish = async (channel: string, data: unknown) =>
  (await hub.publish([newEvent(channel, data, {}, 1_000_000)]))[0]!
const take = async (reader: Reader, count: number) => {
  const items: (ChannelEvent | ChannelGap)[] = []
  while (items.length < count) items.push((await reader.next()).value)
  return items
}
const dataOf = (items: readonly (ChannelEvent | ChannelGap)[]) =>
  items.map((item) => ('gap' in item ? item.reason : item.data))

it('begins at the call, and returns events as they were published', async () => {
  const reader = hub.events(['a', 'b.*'], {})
  const { id } = await publish('a', { x: 1 })
  await publish('other', 0)
  await publish('b.c', '5')
  await publish('b.c', 5)
  expect(await take(reader, 3)).toEqual([
    { channel: 'a', event: undefined, id, data: { x: 1 } },
    { channel: 'b.c', event: undefined, id: expect.any(String), data: '5' },
    { channel: 'b.c', event: undefined, id: expect.any(String), data: 5 },
  ])
  await reader.return()
  expect(await reader.next()).toEqual({ done: true, value: undefined })
})

it('waits for the next event, and several calls of next are answered in order', async () => {
  const reader = hub.events(['a'], {})
  const asked = [reader.next(), reader.next()]
  await turn()
  await publish('elsewhere', 0)
  await Promise.all([publish('a', 1), publish('a', 2)])
  expect((await Promise.all(asked)).map(({ value }) => value.data)).toEqual([1, 2])
  await reader.return()
})

it('resumes from an id, and reports trimmed events and a malformed position', async () => {
  const { id } = await publish('a', 0)
  for (let i = 1; i <= 7; i++) await publish('a', i)
  const late = hub.events(['a'], { after: id })
  expect(dataOf(await take(late, 6))).toEqual(['trimmed', 3, 4, 5, 6, 7])
  const bad = hub.events(['a'], { after: '?', rewind: 2 })
  expect(await take(bad, 3)).toMatchObject([
    { gap: true, reason: 'bad-cursor', from: null, channels: ['a'] },
    { data: 6 },
    { data: 7 },
  ])
  const unknown = hub.events(['a'], { after: 'zzzzzz.1', rewind: 1 })
  expect(dataOf(await take(unknown, 2))).toEqual(['unknown-epoch', 7])
  const rewound = hub.events(['a'], { rewind: 3 })
  expect(dataOf(await take(rewound, 3))).toEqual([5, 6, 7])
  for (const reader of [late, bad, unknown, rewound]) reader.end()
})

it('needs no buffer: a slow consumer gets everything from the log', async () => {
  const reader = hub.events(['a'], {})
  await turn()
  for (let i = 0; i < 2_000; i++) publish('a', i).catch(() => {})
  await turn()
  await turn()
  expect(dataOf(await take(reader, 2_000))).toEqual(Array.from({ length: 2_000 }, (_, i) => i))
  reader.end()
})

it('ends with its signal, before and while it waits, with the hub, and by leaving the loop', async () => {
  expect((await hub.events(['a'], { signal: AbortSignal.abort() }).next()).done).toBe(true)
  const controller = new AbortController()
  const aborted = hub.events(['a'], { signal: controller.signal }).next()
  await turn()
  controller.abort()
  expect((await aborted).done).toBe(true)
  publish('a', 1).catch(() => {})
  for await (const item of hub.events(['a'], {})) {
    expect(item).toMatchObject({ data: 1 })
    break
  }
  const closed = hub.events(['a'], {}).next()
  await turn()
  await hub.close({})
  expect((await closed).done).toBe(true)
  expect(() => hub.events(['a'], {})).toThrow(expect.objectContaining({ code: 'ERR_SSE_HUB_CLOSED' }))
})

it('throws at once for invalid arguments, and rejects later with the error of the broker', async () => {
  expect(() => hub.events([], {})).toThrow(expect.objectContaining({ code: 'ERR_SSE_CHANNEL_REQUIRED' }))
  const broker = new ScriptedBroker()
  const remote = new Hub(broker, resolveHubOptions({}))
  const reader = remote.events(['a'], {})
  await turn()
  broker.refuseSubscription(new Error('down'))
  await expect(reader.next()).rejects.toThrow('down')
  reader.end()
  await turn()
  expect(remote.stats().channels).toBe(0)
})

it('reads on where it was when the link to the log breaks, and never goes back', async () => {
  const broker = new ScriptedBroker()
  const remote = new Hub(broker, resolveHubOptions({}))
  const reader = remote.events(['a'], {})
  const first = reader.next()
  await turn()
  broker.confirm()
  await turn()
  broker.serve()
  broker.deliver()
  await turn()
  broker.append('a')
  broker.breakLink()
  await turn()
  broker.serve()
  broker.deliver()
  expect((await first).value).toMatchObject({ data: 'a 1' })
  // After a read that is ahead of the hand-over, only later events follow.
  broker.append('a')
  const second = reader.next()
  await turn()
  broker.handOver()
  expect((await second).value).toMatchObject({ data: 'a 2' })
  reader.end()
})
