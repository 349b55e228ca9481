import { setImmediate as turn } from 'node:timers/promises'
import express from 'express'
import { ChannelHub, memoryBroker } from '../../src/index.ts'

// The server of soak.test.ts, in a separate process: the clients must not share its event loop or its memory.

export interface SoakOptions {
  readonly channels: number
  readonly maxEvents: number
}

/** What the test asks for, by IPC. */
export type SoakRequest =
  | { do: 'publish'; events: number; perTurn: number; bytes: number; channels: number; acknowledged: boolean }
  | { do: 'report' }
  | { do: 'close' }

export interface SoakReport {
  readonly stats: ReturnType<ChannelHub['stats']>
  readonly heapAndExternal: number
  readonly rss: number
  readonly connections: number
  readonly handles: number
}

const { maxEvents }: SoakOptions = JSON.parse(process.argv[2]!)
const broker = memoryBroker({ history: { maxEvents, maxBytes: 1024 * 1024 * 1024 } })
const hub = new ChannelHub({ broker })
const app = express()
app.use('/channels', hub.router({ channels: ['>'] }))
const server = app.listen(0, '127.0.0.1', () => {
  process.send!({ port: (server.address() as { port: number }).port })
})

const counts = new Map<string, number>()

async function publish({ events, perTurn, bytes, channels }: Extract<SoakRequest, { do: 'publish' }>): Promise<void> {
  const filler = 'x'.repeat(bytes)
  let receipts: Promise<unknown>[] = []
  for (let i = 0; i < events; i++) {
    const channel = `c${i % channels}`
    const n = (counts.get(channel) ?? 0) + 1
    counts.set(channel, n)
    receipts.push(hub.publish(channel, `${channel} ${n} ${filler}`))
    if (i % perTurn === perTurn - 1) await turn()
    if (receipts.length >= 1_000) {
      await Promise.all(receipts)
      receipts = []
    }
  }
  await Promise.all(receipts)
}

process.on('message', async (request: SoakRequest) => {
  if (request.do === 'publish') {
    await publish(request)
    process.send!({ published: Object.fromEntries(counts) })
  } else if (request.do === 'report') {
    for (let i = 0; i < 3; i++) {
      await turn()
      globalThis.gc!()
    }
    const { heapUsed, external, rss } = process.memoryUsage()
    server.getConnections((_, connections) => {
      const report: SoakReport = {
        stats: hub.stats(),
        heapAndExternal: heapUsed + external,
        rss,
        connections,
        handles: process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap' || kind === 'Timeout')
          .length,
      }
      process.send!(report)
    })
  } else {
    server.close()
    await hub.close()
    process.disconnect()
  }
})
