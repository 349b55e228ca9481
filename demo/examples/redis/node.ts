import express from 'express'
import { createClient } from 'redis'
// In an application of your own: 'express-sse-hub' and 'express-sse-hub/redis'.
import { redisBroker } from '../../../src/broker/redis/index.ts'
import { ChannelHub } from '../../../src/index.ts'

// One node of a fleet: PORT=3001 npx tsx demo/examples/redis/node.ts
const client = createClient({ url: process.env['REDIS_URL'] ?? 'redis://localhost:6379' })
const hub = new ChannelHub({ broker: redisBroker({ client, ingest: true }) })
await hub.ready()
const app = express()
app.use('/channels', hub.router({ channels: ['board'], publish: 'anyone' }))
const server = app.listen(Number(process.env['PORT'] ?? 3001), '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as { port: number }).port}\n`)
})
process.once('SIGTERM', async () => {
  server.close()
  await hub.close({ timeoutMs: 1_000 })
  server.closeAllConnections()
})
