import type { AddressInfo } from 'node:net'
import express from 'express'
import { brokerOf } from '../../demo/broker.ts'
import { systemClock } from '../../src/clock.ts'
import { ChannelHub } from '../../src/index.ts'

// One process of a hub, to be killed, stopped and started again. Commands over IPC simulate faults of the machine.

/** What happens to the machine of a hub. */
export type Told = { readonly stepClockMs: number }

/** What a hub says when it is up. */
export interface Up {
  readonly port: number
}

let stepped = 0
const clock = { ...systemClock, now: () => systemClock.now() + stepped }
process.on('message', ({ stepClockMs }: Told) => {
  stepped += stepClockMs
})
// The parent process is gone, so this one has no purpose.
process.on('disconnect', () => process.exit())

const broker = brokerOf(process.env['FAULTS_BROKER']!, { maxEvents: 100_000, maxBytes: 1 << 30 }, clock)!
const hub = new ChannelHub({ broker, clock })
// Refused publishes are the client's to repeat.
hub.on('error', () => {})
const app = express()
app.use('/channels', hub.router({ channels: ['>'], publish: 'anyone' }))
await hub.ready()
const server = app.listen(Number(process.env['PORT']), '127.0.0.1', () => {
  process.send!({ port: (server.address() as AddressInfo).port } satisfies Up)
})
process.once('SIGTERM', async () => {
  server.close()
  await hub.close({ timeoutMs: 5_000, retryMs: [500, 500] })
  process.exit(0)
})
