import type { AddressInfo } from 'node:net'
import cors from 'cors'
import express, { type Request, type RequestHandler, type Response } from 'express'
import { brokerOf } from '../../demo/broker.ts'
import { ChannelHub, sse } from '../../src/index.ts'
import type { Up } from '../faults/server.ts'

// A hub in a separate process, with the pages that listen to it, and the answers that a client may receive.

// The parent process is gone, so this one has no purpose.
process.on('disconnect', () => process.exit())

const broker = brokerOf(process.env['FAULTS_BROKER']!, {
  maxEvents: 100_000,
  channels: { 'short.*': { maxEvents: 3 } },
})!
const hub = new ChannelHub({ broker })
// Refused publishes are the client's to repeat.
hub.on('error', () => {})

/** The requests for streams, and those that asked whether they may be made. */
const requests: { method: string; path: string; lastEventId: string; lastEventIdBy: string }[] = []
/** While something in front of the hub answers in its place, or something behind it does not answer. */
let away = false
/** The only token that counts. */
let token = 0

const everything = hub.router({ channels: ['>'], publish: 'anyone' })
const bearer: RequestHandler = (req, res, next) => {
  if (req.get('Authorization') === `Bearer ${token}`) next()
  else res.status(401).end()
}
const cookie: RequestHandler = (req, res, next) => {
  // An OPTIONS request has none.
  if (/(^|; )visitor=ann($|;)/.test(req.get('Cookie') ?? '')) next()
  else res.status(403).end()
}
/** [spec] https://httpwg.org/specs/rfc9110.html#status.503: the service may be back soon. */
const unavailable: RequestHandler = (_req, res, next) => {
  if (away) res.status(503).end()
  else next()
}

const app = express()
app.use((req: Request, _res: Response, next) => {
  const { lastEventId: inQuery } = req.query
  const lastEventId = req.get('Last-Event-ID') ?? String(inQuery ?? '')
  if (req.method === 'OPTIONS' || req.get('Accept') === 'text/event-stream')
    requests.push({ method: req.method, path: req.path, lastEventId, lastEventIdBy: inQuery ? 'query' : 'header' })
  next()
})
app.use(sse({ retryMs: 500, heartbeatIntervalMs: Number(process.env['HEARTBEAT_MS'] ?? 500) }))
app.use('/channels', everything)
app.use('/unavailable', unavailable, everything)
app.use(
  '/overloaded',
  hub.router({ channels: ['>'], subscribe: () => (away ? Promise.reject(new Error('away')) : true) }),
)
app.use('/tokens', bearer, everything)
app.use('/visitors', cors({ origin: true, credentials: true }), cookie, everything)
app.get('/no-content', (_req, res) => void res.status(204).end())
app.get('/finished', (_req, res) => {
  res.sse.send('the last')
  res.sse.finish()
})

app.post('/control/away', (_req, res) => {
  away = true
  hub.disconnect(() => true)
  res.end()
})
app.post('/control/back', (_req, res) => {
  away = false
  res.end()
})
app.post('/control/token', (_req, res) => {
  token++
  hub.disconnect(() => true)
  res.end()
})
app.get('/control/token', (_req, res) => void res.json(token))
app.get('/control/requests', (_req, res) => void res.json(requests.splice(0)))
app.get('/control/streams', (_req, res) => void res.json(hub.stats().streams))
app.get('/control/cookie', (_req, res) => void res.cookie('visitor', 'ann').end())
app.use(express.static(process.env['PAGES']!))

await hub.ready()
const server = app.listen(Number(process.env['PORT']), '127.0.0.1', () => {
  process.send!({ port: (server.address() as AddressInfo).port } satisfies Up)
})
process.once('SIGTERM', async () => {
  server.close()
  await hub.close({ timeoutMs: 5_000, retryMs: [500, 500] })
  process.exit(0)
})
