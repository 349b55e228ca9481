import { describe, expect, it } from 'vitest'
import { memoryBroker } from '../../src/index.ts'
import { connected, FAST, rig, until } from './support.ts'

describe('a connection to a hub', () => {
  it('delivers the events of its channels, with their channel', async () => {
    const { hub, url } = await rig()
    const connection = connected(url, { channels: ['board', 'price.*'] })
    await until(() => connection.told.open.length)
    expect(connection.told.open).toEqual([
      {
        channels: ['board', 'price.*'],
        resumed: false,
        heartbeatIntervalMs: 100,
        envelope: true,
        id: connection.lastEventId,
      },
    ])
    const { id } = await hub.publish('board', { text: 'hi' }, { event: 'note' })
    await hub.publish('price.usd', '5')
    await hub.publish('price.usd', 5)
    await hub.publish('other', 1)
    await until(() => connection.told.event.length === 3)
    expect(connection.told.event[0]).toEqual({ channel: 'board', event: 'note', id, data: { text: 'hi' } })
    expect(connection.told.event.slice(1).map(({ channel, event, data }) => [channel, event, data])).toEqual([
      ['price.usd', undefined, '5'],
      ['price.usd', undefined, 5],
    ])
    expect(connection.told.state).toEqual(['connecting', 'open'])
    expect(connection.state).toBe('open')
  })

  it('delivers events of ephemeral channels, which do not move its position', async () => {
    const history = { channels: { 'typing.*': { ephemeral: true } } }
    const { hub, proxy, url } = await rig({ broker: memoryBroker({ history }) })
    const connection = connected(url, { channels: ['board', 'typing.*'] })
    await until(() => connection.told.open.length)
    await hub.publish('typing.7', 'early')
    await until(() => connection.told.event.length === 1)
    expect(connection.lastEventId).toBe(connection.told.open[0]!.id)
    const { id } = await hub.publish('board', 1)
    await hub.publish('typing.7', { who: 'ann' }, { event: 'typing' })
    await until(() => connection.told.event.length === 3)
    expect(connection.told.event[2]).toEqual({ channel: 'typing.7', event: 'typing', id, data: { who: 'ann' } })
    expect(connection.lastEventId).toBe(id)
    proxy.cut()
    await hub.publish('board', 2)
    await until(() => connection.told.event.length === 4)
    expect(connection.told.event[3]).toMatchObject({ data: 2 })
    expect(connection.told.gap).toEqual([])
  })

  it('reconnects after a cut, with every event once and in order', async () => {
    const { hub, proxy, url } = await rig()
    const connection = connected(url, { channels: ['board'], retry: { ...FAST, resetMs: 0 } })
    await until(() => connection.told.open.length)
    let sent = 0
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 20; i++) void hub.publish('board', sent++)
      if (round === 1) await until(() => connection.told.event.length > 20)
      proxy.cut()
      for (let i = 0; i < 20; i++) void hub.publish('board', sent++)
      await until(() => connection.told.event.length === sent)
    }
    expect(connection.told.event.map(({ data }) => data)).toEqual([...Array(sent).keys()])
    expect(connection.told.resumed.length).toBe(3)
    expect(connection.told.gap).toEqual([])
  })
})
