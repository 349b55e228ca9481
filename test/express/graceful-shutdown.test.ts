import { once } from 'node:events'
import { Agent, createServer, get } from 'node:http'
import {
  connect,
  createServer as createHttp2Server,
  createSecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2'
import { type AddressInfo, connect as connectSocket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { gracefulShutdown } from '../../src/index.ts'
import { cert, key } from '../support/certificate.ts'
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
  it('resolves a second call only when the first one does, and forgets a call with a wrong option', async () => {
    const hub = makeHub(lib)
    const app = express()
    let release = () => {}
    app.get('/slow', (_req, res) => {
      res.write('a')
      release = () => void res.end()
    })
    const server = createServer(app).listen(0)
    await once(server, 'listening')
    await expect(gracefulShutdown(server, hub, { timeoutMs: -1 })).rejects.toThrow('`timeoutMs`')
    expect(server.listening).toBe(true)
    const agent = new Agent()
    onTestFinished(() => agent.destroy())
    const { port } = server.address() as AddressInfo
    await new Promise((resolve) => get({ port, path: '/slow', agent }, (res) => resolve(res.resume())))
    const order: string[] = []
    const first = gracefulShutdown(server, hub).then(() => order.push('first'))
    const second = gracefulShutdown(server, hub, { timeoutMs: 0 }).then(() => order.push('second'))
    await new Promise((resolve) => setTimeout(resolve, 60))
    expect(order).toEqual([])
    release()
    await Promise.all([first, second])
    expect(order).toEqual(['first', 'second'])
    await gracefulShutdown(server, hub)
  })

  it('cuts an upgraded connection that has not ended in time', async () => {
    const hub = makeHub(lib)
    const server = createServer(express()).listen(0)
    server.on('upgrade', (_req, socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'))
    await once(server, 'listening')
    const client = connectSocket((server.address() as AddressInfo).port, '127.0.0.1')
    client.on('error', () => {}).write('GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
    await once(client, 'data')
    const cut = once(client, 'close')
    await gracefulShutdown(server, hub, { timeoutMs: 50 })
    await cut
  })
})

describe.each([
  ['without TLS', false],
  ['with TLS', true],
])('gracefulShutdown() of an HTTP/2 server %s', (_, isSecure) => {
  it('cuts sessions that their clients keep open, and streams that do not end, after the time limit', async () => {
    const hub = makeHub()
    const server = isSecure ? createSecureServer({ key, cert }) : createHttp2Server()
    server.on('request', (_req: Http2ServerRequest, res: Http2ServerResponse) => void res.write('a'))
    server.listen(0)
    await once(server, 'listening')
    const url = `http${isSecure ? 's' : ''}://127.0.0.1:${(server.address() as AddressInfo).port}`
    const sessions = [0, 1].map(() => connect(url, { rejectUnauthorized: false }).on('error', () => {}))
    await Promise.all(sessions.map((session) => once(session, 'connect')))
    const closed = Promise.all(sessions.map((session) => once(session, 'close')))
    const request = sessions[0]!.request({}).on('error', () => {})
    await once(request, 'response')
    await gracefulShutdown(server, hub, { timeoutMs: 50 })
    await closed
    expect(request.rstCode).not.toBe(0)
  })
})
