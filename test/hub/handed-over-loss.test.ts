import { describe, expect, it } from 'vitest'
import type { Broker, BrokerListener, Loss, StoredEvent } from '../../src/broker/broker.ts'
import { Hub } from '../../src/hub/hub.ts'
import type { Gap } from '../../src/hub/notice.ts'
import { resolveHubOptions } from '../../src/hub/options.ts'
import { stored } from '../broker/support.ts'
import { FakeSubscriber } from '../support/fake-subscriber.ts'
import { subscribe as subscribeTo } from '../support/subscribe.ts'

const at = (seq: number) => ({ epoch: 'AAAAAA', seq })

/** A hub on a remote log that could not hand over the event 5 of channel c, and notices it with event 7. */
async function hubAt6() {
  let listener!: BrokerListener
  const nothing = { status: 'ok', from: at(6), items: [], upto: at(6), end: true } as const
  const broker: Broker = {
    start: async (given) => {
      listener = given
      return at(6)
    },
    publish: async () => [],
    subscribe: async () => {},
    unsubscribe: () => {},
    read: async () => nothing,
    latest: async () => nothing,
    close: async () => {},
  }
  const hub = new Hub(broker, resolveHubOptions({}))
  const gaps: Gap[] = []
  hub.on('gap', (_, gap) => gaps.push(gap))
  const handOver = (batch: readonly (StoredEvent | Loss)[], seq: number) => listener.events(batch, at(seq))
  const lose = () => handOver([{ channels: ['c'], seq: 5 }, stored(7, 'c', { prev: 5 }), stored(8, 'a')], 8)
  const subscribe = async (
    names: readonly string[],
    authorize?: (channel: string) => Promise<{ allowed: boolean }>,
  ) => {
    const stream = new FakeSubscriber('')
    await subscribeTo(hub, stream, names, { authorize })
    stream.received.length = 0
    return stream
  }
  return { hub, gaps, lose, handOver, subscribe }
}

function blocks({ received }: FakeSubscriber): string[] {
  return received.map(({ event, id }) => `${event ?? 'event'} ${id}`)
}

describe('a loss that is handed over', () => {
  it('is a gap before the event that it precedes, for live subscribers of the channel alone', async () => {
    const { gaps, lose, subscribe } = await hubAt6()
    const [c, a, both] = [await subscribe(['c']), await subscribe(['a']), await subscribe(['a', '*'])]
    lose()
    // The loss lies before the position of the stream. Its ID is that position: IDs never go back.
    expect(blocks(c)).toEqual(['hub.gap AAAAAA.6', 'event AAAAAA.7'])
    expect(blocks(a)).toEqual(['event AAAAAA.8'])
    expect(blocks(both)).toEqual(['hub.gap AAAAAA.6', 'event AAAAAA.7', 'event AAAAAA.8'])
    const gap = { reason: 'trimmed', channels: ['c'], from: 'AAAAAA.6', to: 'AAAAAA.6' }
    expect(gaps).toEqual([gap, gap])
  })

  it('is reported to a subscriber of a pattern only where the hook allows the channel', async () => {
    const { lose, handOver, subscribe } = await hubAt6()
    const stream = await subscribe(['*'], async (channel) => ({ allowed: channel !== 'c' }))
    lose()
    await new Promise((resolve) => setTimeout(resolve, 20))
    handOver([stored(9, 'a')], 9)
    expect(blocks(stream)).toEqual(['event AAAAAA.8', 'event AAAAAA.9'])
  })

  it('is a gap for a lagging subscriber, which is served from the tail', async () => {
    const { gaps, handOver, subscribe } = await hubAt6()
    const stream = await subscribe(['c'])
    stream.stall()
    handOver([stored(7, 'c')], 7)
    handOver([{ channels: ['c'], seq: 8 }, stored(9, 'c', { prev: 8 })], 9)
    stream.drain()
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(blocks(stream)).toEqual(['event AAAAAA.7', 'hub.gap AAAAAA.8', 'event AAAAAA.9'])
    expect(gaps).toHaveLength(1)
  })

  it('waits for the hook where a pattern has not decided on its channel, and is cut to the channels that are allowed', async () => {
    const { gaps, handOver, subscribe } = await hubAt6()
    const stream = await subscribe(['*'], async (channel) => ({ allowed: channel !== 'c' }))
    handOver([{ channels: ['c', 'd'], seq: 5 }, stored(7, 'd', { prev: 5 })], 7)
    await new Promise((resolve) => setTimeout(resolve, 20))
    expect(blocks(stream)).toEqual(['hub.gap AAAAAA.6', 'event AAAAAA.7'])
    handOver([{ channels: ['c', 'd'], seq: 7 }, stored(8, 'd', { prev: 7 })], 8)
    handOver([{ channels: ['c'], seq: 8 }], 9)
    expect(blocks(stream).slice(2)).toEqual(['hub.gap AAAAAA.7', 'event AAAAAA.8'])
    expect(gaps.map(({ channels }) => channels)).toEqual([['d'], ['d']])
  })

  it('is yielded by events()', async () => {
    const { hub, lose } = await hubAt6()
    const events = hub.events(['c'], {})
    const first = events.next()
    await new Promise((resolve) => setTimeout(resolve, 20))
    lose()
    expect((await first).value).toMatchObject({ gap: true, channels: ['c'], to: 'AAAAAA.6' })
    expect((await events.next()).value).toMatchObject({ id: 'AAAAAA.7' })
    await events.return()
  })
})
