import { EventSource as PackageEventSource } from 'eventsource'
import { EventSource as UndiciEventSource } from 'undici'
import { describe, expect, it, onTestFinished } from 'vitest'
import { appWith, flavours, makeHub, serve, until } from './support.ts'

/** As much of an EventSource as both have. */
interface Client {
  readonly readyState: number
  addEventListener(type: string, listener: (event: { data: string; lastEventId: string }) => void): void
  close(): void
}

const clients = {
  eventsource: (url: string) => new PackageEventSource(url) as unknown as Client,
  undici: (url: string) => new UndiciEventSource(url) as unknown as Client,
}

/** What real clients make of a stream. */
describe.each(Object.entries(clients))('%s', (_name, connect) => {
  const flavour = flavours[0]!

  function listen(url: string, types: readonly string[]): { client: Client; heard: [string, string][] } {
    const client = connect(url)
    onTestFinished(() => client.close())
    const heard: [string, string][] = []
    for (const type of types) client.addEventListener(type, ({ data }) => heard.push([type, data]))
    return { client, heard }
  }

  it('hears types, many lines and any text, and never a heartbeat', async () => {
    const hub = makeHub()
    const url = await serve(appWith(flavour, hub))
    const { heard } = listen(`${url}/channels/a`, ['hub.open', 'message', 'x'])
    await until(() => heard.length === 1)
    await hub.publish('a', ' lines\nand\n\nmore ')
    await hub.publish('a', 'é\u2028😀', { event: 'x' })
    await hub.publish('a', '')
    await until(() => heard.length === 4)
    expect(heard.slice(1)).toEqual([
      ['message', ' lines\nand\n\nmore '],
      ['x', 'é\u2028😀'],
      ['message', ''],
    ])
  })

  it('reconnects on its own with its position, and misses nothing', async () => {
    const hub = makeHub()
    const app = flavour.express()
    app.use(flavour.lib.sse({ retryMs: 500 }), hub.router({ channels: ['>'] }))
    const url = await serve(app)
    const { heard } = listen(`${url}/a`, ['hub.open', 'message'])
    await until(() => heard.length === 1)
    await hub.publish('a', 1)
    await until(() => heard.length === 2)
    expect(hub.disconnect(() => true)).toBe(1)
    await hub.publish('a', 2)
    await until(() => heard.length === 4)
    await hub.publish('a', 3)
    await until(() => heard.length === 5)
    expect(heard.filter(([type]) => type === 'message').map(([, data]) => data)).toEqual(['1', '2', '3'])
    expect(JSON.parse(heard[2]![1])).toMatchObject({ resumed: true })
  })

  it.each([
    ['403', '/channels/denied', 2],
    ['404', '/channels/unknown', 2],
    ['overload', '/channels/overloaded', 0],
  ])('on %s has the right state: permanently closed, or about to reconnect', async (_case, path, readyState) => {
    const hub = makeHub()
    const app = appWith(flavour, hub, {
      channels: ['denied', 'overloaded'],
      subscribe(_req, [channel]) {
        if (channel === 'denied') return false
        throw new Error('database')
      },
    })
    const { client, heard } = listen(`${await serve(app)}${path}`, ['hub.closed', 'error'])
    await until(() => heard.some(([type]) => type === 'error'))
    expect(client.readyState).toBe(readyState)
    if (readyState === 0) expect(heard[0]).toEqual(['hub.closed', '{"reason":"overloaded"}'])
  })
})
