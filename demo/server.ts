import { fileURLToPath } from 'node:url'
import express from 'express'
import { ChannelHub, memoryBroker } from '../src/index.ts'
import { LogFile } from './log-file.ts'
import { measureMachine } from './machine.ts'
import { logRequests } from './requests.ts'

// One page, one connection, four channels with real sources. See the README, "The demo".

const { HUB_BROKER = 'memory', LOG_FILE, PORT = '3000' } = process.env

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

if (HUB_BROKER !== 'memory') fail(`HUB_BROKER is ${JSON.stringify(HUB_BROKER)}: there is 'memory'.`)
if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65_535)
  fail(`PORT is ${JSON.stringify(PORT)}: a number up to 65535, 0 = any.`)

const hub = new ChannelHub({
  broker: memoryBroker({
    history: { maxEvents: 1_000, channels: { machine: { maxEvents: 240 }, log: { maxEvents: 5_000 } } },
  }),
  maxStreams: 10_000,
})

let state: 'starting' | 'up' | 'draining' = 'starting'
hub.ready().then(
  () => {
    state = 'up'
  },
  (error) => fail(`The broker is not up: ${error}`),
)

const app = express()
app.disable('x-powered-by')
app.use(logRequests((line) => hub.publish('requests', line)))
app.use((_req, res, next) => {
  res.set('Content-Security-Policy', "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
  res.set('X-Content-Type-Options', 'nosniff')
  next()
})
app.get('/healthz', (_req, res) => {
  res.status(state === 'up' ? 200 : 503).json({ state })
})
app.get('/config', (_req, res) => {
  res.json({ followsLog: LOG_FILE !== undefined })
})
app.use(
  '/channels',
  hub.router({
    channels: ['machine', 'requests', 'log', 'board', 'board.>'],
    publish: (_req, channel) => channel === 'board' || channel.startsWith('board.'),
    maxBodyBytes: 16_384,
  }),
)
app.use(express.static(fileURLToPath(new URL('./public', import.meta.url))))

const stopMachine = measureMachine((sample) => hub.publish('machine', sample))
const logFile = LOG_FILE === undefined ? undefined : new LogFile(LOG_FILE, (line) => hub.publish('log', line))
await logFile?.start()

const server = app.listen(Number(PORT), (error?: Error) => {
  if (error !== undefined) fail(`Cannot listen on port ${PORT}: ${error.message}`)
  const { port } = server.address() as { port: number }
  process.stdout.write(`http://localhost:${port}\n`)
})

async function drain(): Promise<void> {
  if (state === 'draining') return
  state = 'draining'
  stopMachine()
  await logFile?.stop()
  // No new connections first; then every stream is told when to come back, and ends.
  const closed = new Promise((resolve) => server.close(resolve))
  await hub.close({ timeoutMs: 5_000 })
  server.closeIdleConnections()
  setTimeout(() => server.closeAllConnections(), 2_000).unref()
  await closed
  process.exit(0)
}
process.on('SIGTERM', drain)
process.on('SIGINT', drain)
