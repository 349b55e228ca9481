// Listens in Node: npx tsx demo/examples/listen.ts [url] [channel]
// In an application of your own: 'express-sse-hub/client'.
import { connect } from '../../src/client/index.ts'

const [url = 'http://localhost:3000/channels', channel = 'board'] = process.argv.slice(2)
const connection = connect(url, { channels: [channel] })
connection.on('open', ({ resumed }) => process.stderr.write(`${resumed ? 'connected again' : 'connected'}\n`))
connection.on('error', ({ message }) => process.stderr.write(`${message}\n`))
process.once('SIGINT', () => connection.close())

// One after the other: nothing more is read while an event is worked on. Throws when the server refuses.
for await (const item of connection) {
  if ('gap' in item) process.stdout.write(`something is missing before ${item.to}\n`)
  else process.stdout.write(`${JSON.stringify(item.data)}\n`)
}
