import { once } from 'node:events'
import { Agent, createServer, get } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { gracefulShutdown } from '../../src/index.ts'
import { flavours, makeHub, open, until } from './support.ts'

describe.each(flavours)('gracefulShutdown(), Express $version', ({ express, lib }) => {
  it('ends streams, waits for ordinary responses, and keeps no idle connection of a browser', async () => {
    const hub = makeHub(lib)
    const app = express()
    app.use('/channels', hub.router({ channels: ['a'] }))
    app.get('/slow', (_req, res) => void setTimeout(() => res.end('done'), 150))
    app.get('/quick', (_req, res) => void res.end('quick'))
    const server = createServer({ keepAliveTimeout: 60_000 }, app).listen(0)
    await once(server, 'listening')
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    const agent = new Agent({ keepAlive: true })
    onTestFinished(() => agent.destroy())
    const text = (path: string) =>
      new Promise<string>((resolve, reject) => {
        get(`${url}${path}`, { agent }, (res) => res.on('data', (chunk) => resolve(String(chunk)))).on('error', reject)
      })
    await text('/quick')
    const s = await open(url, '/channels/a')
    await s.next()
    const slow = text('/slow')
    await until(() => hub.stats().streams === 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
    const start = performance.now()
    await gracefulShutdown(server, hub)
    expect(await slow).toBe('done')
    expect((await s.next({ type: 'hub.closed' })).json()).toEqual({ reason: 'shutdown' })
    // Far below the 60 s for which an idle connection would be kept.
    expect(performance.now() - start).toBeLessThan(10_000)
    expect(server.listening).toBe(false)
  })

  it('cuts responses that have not ended in time', async () => {
    const hub = makeHub(lib)
    const app = express()
    app.get('/never', (_req, res) => void res.write('a'))
    const server = createServer(app).listen(0)
    await once(server, 'listening')
    const cut = new Promise((resolve) => {
      get(`http://127.0.0.1:${(server.address() as AddressInfo).port}/never`, (res) => {
        res.on('error', resolve)
        res.resume()
      })
    })
    await new Promise((resolve) => setTimeout(resolve, 50))
    await gracefulShutdown(server, hub, { timeoutMs: 50 })
    expect(await cut).toMatchObject({ code: 'ECONNRESET' })
  })

  it('names a wrong argument', async () => {
    await expect(gracefulShutdown({} as never, makeHub(lib))).rejects.toThrow(/`server` must be a server/)
    await expect(gracefulShutdown(createServer(), {} as never)).rejects.toThrow(/`hub` must be a ChannelHub/)
  })
})
