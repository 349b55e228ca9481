import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { ChannelHub, sse } from '../src/index.ts'
import { BeatPublisher } from './beat.ts'
import { breakRoutes, mayRestart, type RestartBy } from './break.ts'
import { brokerOf, DEFAULT_BROKER } from './broker.ts'
import { bundlePage } from './bundle.ts'
import type { Channels } from './channels.ts'
import { sameSiteOnly } from './guard.ts'
import { Jobs } from './jobs.ts'
import { LogFile } from './log-file.ts'
import { measureMachine } from './machine.ts'
import { OwnLog } from './own-log.ts'
import { countReaders } from './readers.ts'
import { logRequests } from './requests.ts'
import { streamText } from './text.ts'
import { shortName, Visitors, visitorOf } from './visitors.ts'

// The server of the demo: one page, one connection, and on it channels with real sources. See README.md in this folder.

const { HUB_BROKER = DEFAULT_BROKER, DEMO_LOG = './data/demo.log', DEMO_RESTART = 'local', PORT = '3000' } = process.env
const LOG_FILE = process.env['LOG_FILE'] || DEMO_LOG

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65_535)
  fail(`PORT is ${JSON.stringify(PORT)}: a number up to 65535, 0 = any.`)
if (!/^(local|anyone|nobody)$/.test(DEMO_RESTART))
  fail(`DEMO_RESTART is ${JSON.stringify(DEMO_RESTART)}: 'local', 'anyone' or 'nobody'.`)
const restartBy = DEMO_RESTART as RestartBy

// -- the hub --

const broker = brokerOf(HUB_BROKER, {
  maxEvents: 1_000,
  channels: {
    machine: { maxEvents: 300 },
    log: { maxEvents: 5_000 },
    beat: { maxEvents: 3_000 },
    readers: { maxEvents: 1 },
    server: { maxEvents: 10 },
    'visitor.*': { maxEvents: 100 },
    // Visitors name these channels, so they share a part of the log.
    'board.>': { maxBytes: 8_388_608, maxChannels: 10_000 },
    'ballast.*': { maxEvents: 2_000 },
  },
})
if (broker === undefined)
  fail(`HUB_BROKER is ${JSON.stringify(HUB_BROKER)}: 'memory', 'sqlite:' and a file, or the URL of a Redis server.`)
const hub = new ChannelHub<Channels>({ broker, maxStreams: 10_000 })

let state: 'starting' | 'up' | 'draining' = 'starting'
const draining = new AbortController()
hub.on('error', (error, { channel = 'the hub' }) => {
  // A failed start is reported below, and an end is not a failure.
  if (state === 'up') process.stderr.write(`${channel}: ${error}\n`)
})
// -- sources of events --

const ownLog = new OwnLog(DEMO_LOG)
const log = (text: string) => ownLog.write(text)
// Awaited line by line, so that a file that grows fast waits for the hub; a failed line was reported above.
const logFile = new LogFile(LOG_FILE, (line) => hub.publish('log', line).catch(() => {}))
const beat = new BeatPublisher(hub)
const jobs = new Jobs(hub, log)
const visitors = new Visitors()
countReaders(hub)

/** Settled when the numbers continue from the end of the log. */
const beating = begin().catch((error: Error) =>
  fail(`The broker is not up (HUB_BROKER=${HUB_BROKER}): ${error.message}`),
)
async function begin(): Promise<void> {
  await hub.ready()
  const life = { pid: process.pid, startedAt: Date.now(), node: process.version } as const
  const about = { broker: HUB_BROKER === 'memory' ? 'memory' : 'sqlite', log: basename(LOG_FILE) } as const
  await hub.publish('server', { ...life, ...about })
  await beat.start()
}

hub.on('subscribe', ({ info, resumed }) => log(`${shortName(info)} ${resumed ? 'resumed' : 'connected'}`))
hub.on('unsubscribe', ({ info }, reason) => log(`${shortName(info)} left: ${reason}`))
hub.on('gap', ({ info }, { reason }) => log(`${shortName(info)} received a gap: ${reason}`))
hub.on('lagging', ({ info }) => {
  log(`${shortName(info)} is too slow, and is served from the log`)
  if (typeof info === 'string') {
    hub.publish(`visitor.${info}`, { what: 'lagging', at: Date.now() }, { event: 'connection' })
  }
})

// -- the routes --

const app = express()
app.disable('x-powered-by')
app.use(logRequests((line) => hub.publish('requests', line)))
app.use((_req, res, next) => {
  res.set({
    'Content-Security-Policy':
      "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    'X-Content-Type-Options': 'nosniff',
    'Referrer-Policy': 'no-referrer',
  })
  next()
})
// Short, so that a visitor who breaks something soon sees the effect.
app.use(sse({ heartbeatIntervalMs: 2_000, retryMs: 500 }))

app.get('/healthz', (_req, res) => {
  res.status(state === 'up' ? 200 : 503).json({ state })
})
app.get('/config', (req, res) => {
  res.json({ mayRestart: mayRestart(restartBy, req) })
})
app.get('/channels', visitors.remember, async (_req, res, next) => {
  await beating
  // What comes up to this number was published before, and is a replay.
  res.set('X-Beat', String(beat.last))
  next()
})
app.use(
  '/channels',
  hub.router({
    channels: ['machine', 'requests', 'log', 'board', 'board.>', 'readers', 'server', 'beat', 'visitor.*', 'ballast.*'],
    subscribe: (req, channels) => {
      const visitor = visitorOf(req)
      return (
        channels.every((name) => !/^(visitor|ballast)\./.test(name) || name.split('.')[1] === visitor) && {
          info: visitor,
        }
      )
    },
    publish: (_req, channel) => channel === 'board' || channel.startsWith('board.'),
    maxBodyBytes: 16_384,
  }),
)
app.get('/text', streamText(hub, log, draining.signal))
app.use('/jobs', sameSiteOnly, jobs.router())
app.use('/break', sameSiteOnly, breakRoutes({ hub, visitors, log, restartBy, drain }))
app.use(await bundlePage())
app.use(express.static(fileURLToPath(new URL('./page', import.meta.url)), { extensions: [] }))

// -- up, and down --

await logFile.start().catch((error: Error) => fail(`Cannot follow LOG_FILE ${LOG_FILE}: ${error.message}`))
const server = app.listen(Number(PORT))
server.once('error', (error) => fail(`Cannot listen on port ${PORT}: ${error.message}`))
await Promise.all([once(server, 'listening'), beating])
const { port } = server.address() as AddressInfo
log(`started on port ${port}, log of the hub: ${HUB_BROKER}`)
const stopMachine = measureMachine((sample) => hub.publish('machine', sample))
state = 'up'

async function drain(): Promise<void> {
  // Ctrl-C reaches every process of a terminal, and the starter passes it on too: the second signal does not mean hurry.
  if (state === 'draining') return
  state = 'draining'
  log('drains')
  // First no new connections; then every stream gets a reconnection time, and ends.
  const closed = new Promise((resolve) => server.close(resolve))
  stopMachine()
  beat.stop()
  draining.abort()
  await jobs.cancelAll()
  await logFile.stop()
  await hub.close({ timeoutMs: 5_000, retryMs: [500, 1_500] })
  server.closeIdleConnections()
  setTimeout(() => server.closeAllConnections(), 2_000).unref()
  await closed
  process.exit(0)
}
process.on('SIGTERM', drain)
process.on('SIGINT', drain)
// The starter is gone: no process would restart or end this one.
process.on('disconnect', () => process.exit(1))
process.send?.({ port })
