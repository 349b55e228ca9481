import { expect, it } from 'vitest'
import { pattern } from '../../src/channel-name.ts'
import { detailOf, typeOf } from '../../src/client/hub-block.ts'
import { connected, rig, until } from './support.ts'

it('delivers the list of a pattern and the snapshots, to listeners and to iterators', async () => {
  const { hub, url } = await rig()
  hub.snapshot(pattern('price.*'), (channel) => ({ of: channel }), { list: () => ['price.a', 'price.b'] })
  const connection = connected(url, { channels: ['price.*'] })
  const told: unknown[] = []
  connection.on('list', (list) => void told.push(list))
  connection.on('snapshot', (snapshot) => void told.push(snapshot))
  const yielded: unknown[] = []
  const reading = (async () => {
    for await (const item of connection) if (yielded.push(item) === 4) break
  })()
  await until(() => told.length === 3)
  const id = await hub.position()
  expect(told).toEqual([
    { list: true, pattern: 'price.*', channels: ['price.a', 'price.b'], id: '' },
    { snapshot: true, channel: 'price.a', data: { of: 'price.a' }, id: '' },
    { snapshot: true, channel: 'price.b', data: { of: 'price.b' }, id },
  ])
  expect(connection.lastEventId).toBe(id)
  await hub.publish('price.a', 1)
  await reading
  expect(yielded).toEqual([...told, expect.objectContaining({ channel: 'price.a', data: 1 })])
})

it.each([
  ['hub.snapshot', 'null'],
  ['hub.snapshot', '{"channel":7,"data":1}'],
  ['hub.list', '{"pattern":"a.*","channels":[1]}'],
  ['hub.list', '{"channels":["a"]}'],
])('refuses %s with the data %s', (event, data) => {
  const block = { event, data } as Parameters<typeof typeOf>[0]
  expect(() => detailOf(typeOf(block, undefined), block, undefined)).toThrow('another shape')
})
