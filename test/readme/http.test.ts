import type express from 'express'
import express4 from 'express-4'
import session from 'express-session'
import { expect, it, vi } from 'vitest'
import * as library from '../../src/index.ts'
import { documentAt, sourceOf } from './documents.ts'
import { listen, modulesOf, open, PATIENT, post, requireUser, serve, shell } from './serve.ts'
import { CJS, NGINX, REQUESTS } from './snippets.ts'

const folder = modulesOf('http')
const README = documentAt('src/express/README.md')

/** An output with the parts that differ from run to run as they are in the README. */
function comparable(output: string, epoch: string): string {
  return output
    .replaceAll(epoch, 'k3f9a2')
    .replaceAll(/retry: \d+/g, 'retry: N')
    .trim()
}

it('the requests of the HTTP contract have the answers that follow them', async () => {
  const { hub, url } = await serve(folder, 'http')
  const first = await open(url, '/channels/news')
  const epoch = (await first.next()).id!.slice(0, 6)
  first.drop()
  let compared = 0
  for (const [i, { language, code }] of REQUESTS.entries()) {
    if (language !== 'sh') continue
    const next = REQUESTS[i + 1]!
    const lines = code.replaceAll('localhost:3000', url).replaceAll('k3f9a2', epoch).trim().split('\n')
    for (const [j, line] of lines.entries()) {
      await vi.waitFor(() => expect(hub.stats().subscriptions).toBe(0), PATIENT)
      const isLast = j === lines.length - 1
      const stream = isLast && next.language === 'text' ? comparable(next.code, epoch) : undefined
      const output = await shell(line, (output) => stream !== undefined && comparable(output, epoch) === stream)
      if (stream !== undefined) {
        expect(comparable(output, epoch)).toBe(stream)
        compared++
        continue
      }
      const [, body, status] = /^([\s\S]*)\n(\d+)$/.exec(output)!
      const expected = /# (\d{3})$/.exec(line)
      if (expected !== null) expect([line, status]).toEqual([line, expected[1]])
      if (isLast && next.language === 'json') {
        expect(JSON.parse(comparable(body!, epoch))).toEqual(JSON.parse(next.code))
        compared++
      }
    }
  }
  expect(compared).toBe(REQUESTS.filter(({ language }) => language !== 'sh').length)
})

it('the HTTP contract names every event of a hub, and every reason of a gap', () => {
  const [, union] = /type HubEventType = (.*)/.exec(sourceOf('protocol/hub-events.ts'))!
  const types = [...union!.matchAll(/'(\w+)'/g)].map(([, type]) => `\`hub.${type}\``)
  expect(types).toHaveLength(7)
  const named = README.rows('GET `/channels/:channel`').map(([first]) => first)
  expect(named).toEqual(expect.arrayContaining(types))
  for (const reason of ['trimmed', 'unknown-epoch', 'diverged', 'bad-cursor']) expect(named).toContain(`\`${reason}\``)
  expect(sourceOf('hub/notice.ts')).toContain("type Fault = 'diverged' | 'unknown-epoch' | 'bad-cursor'")
})

it('the snippet for cors lets pages of another origin read and publish', async () => {
  const { url } = await serve(folder, 'cors')
  const origin = 'https://admin.example.org'
  const stream = await open(url, '/channels/board', { headers: { origin } })
  expect(stream.headers).toMatchObject({
    'access-control-allow-origin': origin,
    'access-control-allow-credentials': 'true',
  })
  const preflight = await fetch(`${url}/channels/board`, {
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'last-event-id' },
  })
  expect(preflight.headers.get('access-control-allow-headers')).toContain('Last-Event-ID')
  expect((await post(`${url}/channels/board`, 1, { origin })).status).toBe(201)
  expect((await post(`${url}/channels/board`, 1, { origin: 'https://elsewhere.example' })).status).toBe(403)
})

it('the snippet for express-session saves a session before the stream opens', async () => {
  const sessions = session({ secret: 's', resave: false, saveUninitialized: false })
  const { url } = await serve(folder, 'session', {}, sessions, (req, res, next) =>
    req.path === '/seen' ? void res.json((req as { session?: unknown }).session) : next(),
  )
  const stream = await open(url, '/inbox/events')
  expect((await stream.next()).event).toBe('hub.open')
  const [cookie] = stream.headers['set-cookie'] as string[]
  const seen = await fetch(`${url}/seen`, { headers: { cookie: cookie!.split(';')[0]! } })
  expect(await seen.json()).toMatchObject({ seen: expect.any(Number) })
})

it('the snippet for letGo releases the parser of an idle stream', async () => {
  const sockets: (express.Request['socket'] & { parser?: unknown })[] = []
  const { hub, url } = await serve(folder, 'letGo', {}, (req, res, next) => {
    sockets.push(req.socket)
    next()
    if (req.path === '/feeds/a') res.sse.open()
  })
  const streams = [await open(url, '/channels/a'), await open(url, '/feeds/a')]
  await vi.waitUntil(() => sockets.length === 2 && sockets.every(({ parser }) => parser === null), 10_000)
  expect((await streams[0]!.next()).event).toBe('hub.open')
  await hub.publish('a', 1)
  expect((await streams[0]!.next()).json()).toBe(1)
})

it('the snippet for Express 4 runs in Express 4 as CommonJS', async () => {
  const modules: Record<string, unknown> = { express: express4, 'express-sse-hub': library }
  const { app, hub } = new Function('require', 'requireUser', `${CJS}; return { app, hub }`)(
    (name: string) => modules[name],
    requireUser,
  )
  const url = await listen(app)
  const stream = await open(url, '/me/events', { headers: { 'x-user': '7' } })
  await stream.next()
  await hub.publish('user.7', 'hello')
  expect((await stream.next()).data).toBe('hello')
  expect((await open(url, '/me/events', { headers: { 'x-user': 'a+b' } })).status).toBe(400)
})

it('the block for nginx has the syntax of nginx', () => {
  // Its braces and semicolons: the tests need no nginx, so it is not started here.
  expect(NGINX).toMatch(/^location \/channels \{\n(?: {2}proxy_\w+ [^;\n]+;\n)+\}\n$/)
})
