import { createServer } from 'node:http'
import { ChannelHub, memoryBroker } from '../../../dist/index.js'
import { stream, subscribeLive } from './drain.mjs'
import { TEXT } from './measures.mjs'

/** What the hub costs as more is in it. Nothing goes over a network. */
const PER_TURN = 16
const MISSED = 100
const history = { maxEvents: 200_000, maxBytes: 1 << 30, maxChannels: 200_000 }

/** CPU time of the process in µs for each of `n`. */
async function cost(n, work) {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return { cpu: (user + system) / n, user: user / n, kernel: system / n }
}

async function publishAll(hub, n, channel) {
  for (let i = 0; i < n; i += PER_TURN) {
    const turn = []
    for (let k = i; k < Math.min(n, i + PER_TURN); k++) turn.push(hub.publish(channel(k), TEXT))
    await Promise.all(turn)
  }
}

async function measurePublish(hub, times, channel) {
  const n = 20_000 * times
  await publishAll(hub, n / 4, channel)
  return cost(n, () => publishAll(hub, n, channel))
}

async function subscribeAll(hub, count, channel) {
  for (let i = 0; i < count; i++) await hub.subscribe(stream(), channel(i))
}

const measures = {
  /** `count` channels that others listen to. */
  async channels(hub, count, times) {
    await subscribeAll(hub, count, (i) => `other.${i}`)
    await subscribeAll(hub, 1, () => 'target')
    return measurePublish(hub, times, () => 'target')
  },
  /** `count` patterns that do not match. */
  async patterns(hub, count, times) {
    await subscribeAll(hub, count, (i) => `other.${i}.*`)
    await subscribeAll(hub, 1, () => 'target')
    return measurePublish(hub, times, () => 'target')
  },
  /** `count` channels in the log without a subscriber. */
  async kept(hub, count, times) {
    await publishAll(hub, count, (i) => `other.${i}`)
    await subscribeAll(hub, 1, () => 'target')
    return measurePublish(hub, times, () => 'target')
  },
  /** `count` channels, each subscribed through a separate pattern. */
  async matching(hub, count, times) {
    await subscribeAll(hub, count, (i) => `t${i}.*`)
    return measurePublish(hub, times, (k) => `t${k % count}.x`)
  },
  /** Clients reconnect while `count` events of other channels are between those that they missed. */
  async replay(hub, count, times) {
    const { id: after } = await hub.publish('target', TEXT)
    const every = count / MISSED
    await publishAll(hub, count + MISSED, (k) => (k % (every + 1) === every ? 'target' : `other.${k % 10}`))
    const replay = async () => {
      const to = stream()
      await subscribeLive(hub, to, 'target', { after })
      to.close()
    }
    const replayAll = async (n) => {
      for (let i = 0; i < n; i++) await replay()
    }
    const n = 500 * times
    await replayAll(n / 4)
    return cost(n, () => replayAll(n))
  },
}

createServer(async (req, res) => {
  const { searchParams } = new URL(req.url, 'http://localhost')
  const hub = new ChannelHub({ broker: memoryBroker({ history }) })
  const [count, times] = ['count', 'times'].map((name) => Number(searchParams.get(name)))
  const figures = await measures[searchParams.get('what')](hub, count, times)
  res.end(JSON.stringify(figures))
}).listen(process.env.PORT, '127.0.0.1')
