import { createServer, IncomingMessage, ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import { ChannelHub, eventStream, memoryBroker } from '../../../dist/index.js'

/**
 * What the hub costs as more is in it. Nothing goes over a network: the streams are responses whose socket swallows
 * everything, so there can be more of them than a process may have files.
 */
const PER_TURN = 16
const MISSED = 100
const TEXT = 'x'.repeat(150)
const history = { maxEvents: 200_000, maxBytes: 1 << 30, maxChannels: 200_000 }

class Drain extends Duplex {
  _read() {}
  _write(_bytes, _encoding, done) {
    done()
  }
  _writev(_chunks, done) {
    done()
  }
}

function stream() {
  const socket = new Drain()
  const req = new IncomingMessage(socket)
  Object.assign(req, { method: 'GET', url: '/', httpVersionMajor: 1, httpVersionMinor: 1, httpVersion: '1.1' })
  req.headers.accept = 'text/event-stream'
  const res = new ServerResponse(req)
  res.assignSocket(socket)
  return eventStream(req, res)
}

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
  /** `count` channels in the log, to which nobody listens. */
  async kept(hub, count, times) {
    await publishAll(hub, count, (i) => `other.${i}`)
    await subscribeAll(hub, 1, () => 'target')
    return measurePublish(hub, times, () => 'target')
  },
  /** `count` channels, each heard through a pattern of its own. */
  async matching(hub, count, times) {
    await subscribeAll(hub, count, (i) => `t${i}.*`)
    return measurePublish(hub, times, (k) => `t${k % count}.x`)
  },
  /** Clients come back while `count` events of other channels lie between those that they missed. */
  async replay(hub, count, times) {
    const { id: after } = await hub.publish('target', TEXT)
    const every = count / MISSED
    await publishAll(hub, count + MISSED, (k) => (k % (every + 1) === every ? 'target' : `other.${k % 10}`))
    const replay = async () => {
      const to = stream()
      const subscription = await hub.subscribe(to, 'target', { after })
      while (subscription.state !== 'live') await new Promise(setImmediate)
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
