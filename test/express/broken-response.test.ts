import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { uncaught } from '../support/uncaught.ts'
import { flavours, makeHub, open, serve, until } from './support.ts'

/** Makes a method of the response throw from now on, as a middleware does that wrapped it and has given up. */
function broken(res: ServerResponse, method: 'write' | 'flush' | 'end', isBroken: () => boolean): void {
  const original = (res as never as Record<string, unknown>)[method] as ((...args: unknown[]) => unknown) | undefined
  Object.assign(res, {
    [method](...args: unknown[]) {
      if (isBroken()) throw new Error(`${method} after the end of a middleware`)
      return original?.apply(res, args)
    },
  })
}

describe.each(flavours)('a response that throws, Express $version', (flavour) => {
  it.each(['write', 'flush'] as const)('by its %s ends its own stream alone, in a fan-out', async (method) => {
    const errors = uncaught()
    const { express, lib } = flavour
    const hub = makeHub(lib)
    let isBroken = false
    const app = express()
    app.use(lib.sse())
    app.get('/broken', (_req, res) => {
      broken(res, method, () => isBroken)
      hub.subscribe(res.sse, ['a', 'b'])
    })
    app.get('/well', (_req, res) => {
      hub.subscribe(res.sse, ['a', 'b'])
    })
    const url = await serve(app)
    const reasons: string[] = []
    hub.on('unsubscribe', (_, reason) => reasons.push(reason))
    const [first, sick, last] = [await open(url, '/well'), await open(url, '/broken'), await open(url, '/well')]
    isBroken = true
    const receipts = await hub.publishAll([
      { channel: 'a', data: '1' },
      { channel: 'b', data: '2' },
    ])
    expect(receipts).toHaveLength(2)
    await sick.ended
    await hub.publish('a', '3')
    for (const well of [first, last]) {
      await well.next()
      expect([(await well.next()).data, (await well.next()).data, (await well.next()).data]).toEqual(['1', '2', '3'])
    }
    expect(reasons).toEqual(['error'])
    expect(hub.stats()).toMatchObject({ subscriptions: 2, bufferedBytes: 0 })
    expect(errors).toEqual([])
  })

  it.each(['write', 'end'] as const)(
    'by its %s ends its own stream alone, in a replay and at its end',
    async (method) => {
      const errors = uncaught()
      const { express, lib } = flavour
      const hub = makeHub(lib)
      for (let i = 0; i < 600; i++) hub.publish('a', i)
      let writes = 0
      const app = express()
      app.use(lib.sse())
      app.get('/broken', (_req, res) => {
        broken(res, method, () => writes++ > 1 || method === 'end')
        hub.subscribe(res.sse, 'a', { rewind: 600 })
      })
      const url = await serve(app)
      const stream = await open(url, '/broken')
      await until(() => hub.stats().published === 600)
      if (method === 'end') hub.disconnect(() => true)
      else await hub.publish('a', 'more').then(() => hub.publish('a', 'more'))
      await stream.ended
      await until(() => hub.stats().subscriptions === 0)
      expect(await hub.publish('a', 'last')).toMatchObject({ localSubscribers: 0 })
      expect(errors).toEqual([])
    },
  )
})
