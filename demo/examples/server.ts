import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import express from 'express'
// In an application of your own: 'express-sse-hub'.
import { ChannelHub } from '../../src/index.ts'

// What the examples listen and publish to, with the pages among them: `npx tsx demo/examples/server.ts`.

const here = (path: string) => fileURLToPath(new URL(path, import.meta.url))

const hub = new ChannelHub()
const app = express()
app.use('/channels', hub.router({ channels: ['board'], publish: 'anyone' }))
app.get('/', (_req, res) => res.sendFile(here('page.html')))
app.get('/react', (_req, res) => res.sendFile(here('react/page.html')))

const { outputFiles } = await build({
  entryPoints: [here('react/board.tsx')],
  bundle: true,
  write: false,
  format: 'esm',
  jsx: 'automatic',
  define: { 'process.env.NODE_ENV': '"production"' },
})
app.get('/react.js', (_req, res) => void res.type('js').send(outputFiles[0]!.text))

const server = app.listen(Number(process.env['PORT'] ?? 3000), '127.0.0.1')
await once(server, 'listening')
process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    server.close()
    await hub.close({ timeoutMs: 1_000 })
    server.closeAllConnections()
  })
}
