import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import express from 'express'
import { ChannelHub } from '../src/index.ts'
import { brokerOf, DEFAULT_BROKER } from './broker.ts'
import { LogFile } from './log-file.ts'
import { measureMachine } from './machine.ts'
import { logRequests } from './requests.ts'

// One page, one connection, four channels with real sources. See the README, "The demo".

const { HUB_BROKER = DEFAULT_BROKER, LOG_FILE, PORT = '3000' } = process.env

function fail(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}

if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65_535)
  fail(`PORT is ${JSON.stringify(PORT)}: a number up to 65535, 0 = any.`)

const broker = brokerOf(HUB_BROKER, {
  maxEvents: 1_000,
  channels: { machine: { maxEvents: 240 }, log: { maxEvents: 5_000 } },
})
if (broker === undefined) fail(`HUB_BROKER is ${JSON.stringify(HUB_BROKER)}: 'memory', or 'sqlite:' and a file.`)
const hub = new ChannelHub({ broker, maxStreams: 10_000 })

let state: 'starting' | 'up' | 'draining' = 'starting'
hub.on('error', (error, { channel = 'the hub' }) => {
  // A start that fails is told of below.
  if (state !== 'starting') process.stderr.write(`${channel}: ${error}\n`)
})
const ready = hub.ready().then(
  () => {
    if (state === 'starting') state = 'up'
  },
  (error: Error) => fail(`The broker is not up (HUB_BROKER=${HUB_BROKER}): ${error.message}`),
)

const app = express()
app.disable('x-powered-by')
app.use(
  logRequests((line) => {
    // The streams that end with the hub find it closed.
    if (state !== 'draining') hub.publish('requests', line)
  }),
)
app.use((_req, res, next) => {
  res.set('Content-Security-Policy', "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'")
  res.set('X-Content-Type-Options', 'nosniff')
  next()
})
app.get('/healthz', (_req, res) => {
  res.status(state === 'up' ? 200 : 503).json({ state })
})
app.get('/config', (_req, res) => {
  res.json({ followsLog: logFile !== undefined })
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
// Awaited line by line, so that a file that grows fast waits for the hub; a line that fails was told of above.
const logFile = LOG_FILE ? new LogFile(LOG_FILE, (line) => hub.publish('log', line).catch(() => {})) : undefined
await logFile?.start().catch((error: Error) => fail(`Cannot follow LOG_FILE ${LOG_FILE}: ${error.message}`))

const server = app.listen(Number(PORT))
server.once('error', (error) => fail(`Cannot listen on port ${PORT}: ${error.message}`))

async function drain(): Promise<void> {
  // Ctrl-C reaches every process of a terminal, and the starter passes it on as well: the second is no haste.
  if (state === 'draining') return
  state = 'draining'
  // No new connections first; then every stream is told when to come back, and ends.
  const closed = new Promise((resolve) => server.close(resolve))
  stopMachine()
  await logFile?.stop()
  await hub.close({ timeoutMs: 5_000 })
  server.closeIdleConnections()
  setTimeout(() => server.closeAllConnections(), 2_000).unref()
  await closed
  process.exit(0)
}
process.on('SIGTERM', drain)
process.on('SIGINT', drain)

await Promise.all([once(server, 'listening'), ready])
process.stdout.write(`http://localhost:${(server.address() as AddressInfo).port}\n`)
