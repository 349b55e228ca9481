import { createClient } from 'redis'
// In an application of your own: 'express-sse-hub' and 'express-sse-hub/redis'.
import { redisBroker } from '../../../src/broker/redis/index.ts'
import { ChannelHub } from '../../../src/index.ts'

// For old scripts that call PUBLISH: npx tsx demo/examples/redis/bridge.ts redis://localhost:6379 board
// Run one such process. It gives each message an ID and a place in the history. What is published while it does not run
// is lost, as always with PUBLISH.
const [url = 'redis://localhost:6379', ...channels] = process.argv.slice(2)
const client = createClient({ url })
const hub = new ChannelHub({ broker: redisBroker({ client }) })
await Promise.all([hub.ready(), client.connect()])
client.on('error', (error) => process.stderr.write(`${error}\n`))
await client.subscribe(channels, (text: string, channel: string) => {
  hub.publish(channel, text).catch((error) => process.stderr.write(`${error}\n`))
})
process.stdout.write(`bridging ${channels.join(', ')}\n`)
