import { expect, it, onTestFinished } from 'vitest'
import type { Broker, BrokerListener } from '../../src/broker/broker.ts'
import { memoryBroker } from '../../src/broker/memory-broker.ts'
import { ChannelHub } from '../../src/index.ts'

/** A memory broker that hands over an invalid batch as soon as `spoil` is set. */
function spoiled() {
  const inner = memoryBroker()
  const spoil = { next: false }
  const broker: Broker = Object.create(inner, {
    start: {
      value: (listener: BrokerListener) =>
        inner.start({
          events(batch, top) {
            const fault = (): never => {
              throw new Error('a fault of the hub')
            }
            listener.events(spoil.next ? new Proxy(batch, { get: fault }) : batch, top)
            spoil.next = false
          },
          suspect: (top) => listener.suspect(top),
        }),
    },
  })
  for (const name of ['publish', 'subscribe', 'unsubscribe', 'read', 'latest', 'close'] as const) {
    Object.assign(broker, { [name]: (inner[name] as () => unknown).bind(inner) })
  }
  return { broker, spoil }
}

it('a fault of the hub while it takes a batch is reported, fails no publish, and loses nothing', async () => {
  const { broker, spoil } = spoiled()
  const hub = new ChannelHub({ broker })
  onTestFinished(() => hub.close())
  const errors: unknown[] = []
  hub.on('error', (error) => errors.push(error))
  const got: unknown[] = []
  const reading = (async () => {
    for await (const item of hub.events('a')) {
      got.push('gap' in item ? item : item.data)
      if (got.length === 3) break
    }
  })()
  await hub.ready
  await hub.publish('a', 1)
  spoil.next = true
  const receipt = await hub.publish('a', 2)
  expect(receipt.id).toBeTypeOf('string')
  await hub.publish('a', 3)
  await reading
  expect(got).toEqual([1, 2, 3])
  expect(errors).toMatchObject([{ message: 'a fault of the hub' }])
})
