import { statSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { sqliteBroker } from '../../../dist/broker/sqlite/index.js'
import { ChannelHub, memoryBroker } from '../../../dist/index.js'
import { stream, subscribeLive } from './drain.mjs'
import { logFile, syncTimes } from './log-file.mjs'
import { cost, percentile, serve, TEXT } from './measures.mjs'

/**
 * The cost and the latency of a log on a disk. There is no network: the hub publishes on its own, to one subscriber
 * whose stream is discarded. With `memory`, the same without a disk.
 */
const inMemory = process.argv[2] === 'memory'
const CHANNELS = 100
/** Of one event as the log counts it, with its field names. */
const EVENT_BYTES = 157
/** Nothing is deleted. */
const EVERYTHING = { maxEvents: 10_000_000, maxAgeMs: 0, maxBytes: 2 ** 40 }

let next = 0
const channel = () => `c${next++ % CHANNELS}`

/** A hub on a log, and the number of batches that the log has handed over. */
function open(file, history) {
  const broker = inMemory ? memoryBroker({ history }) : sqliteBroker({ file, history })
  const counted = { commits: 0 }
  const start = broker.start
  broker.start = (listener) => {
    const events = (batch, top) => {
      counted.commits++
      listener.events(batch, top)
    }
    return start.call(broker, { events, suspect: (previous) => listener.suspect(previous) })
  }
  return { broker, hub: new ChannelHub({ broker }), counted }
}

/** Publishes this many events in one turn of the loop. */
async function publishEach(hub, size) {
  const receipts = []
  for (let i = 0; i < size; i++) receipts.push(hub.publish(channel(), TEXT))
  await Promise.all(receipts)
}

async function publishTogether(hub, size) {
  const events = []
  for (let i = 0; i < size; i++) events.push({ channel: channel(), data: TEXT })
  await hub.publishAll(events)
}

/** Batches of one size, one in progress and the next one waiting for it. */
async function publishWhile(more, publish, hub, batch) {
  let n = 0
  let turn = Promise.resolve()
  const lane = async () => {
    while (more()) {
      // In one turn of the loop the two would be one batch of twice the size, and stay so.
      turn = turn.then(nextTurn)
      await turn
      await publish(hub, batch)
      n += batch
    }
  }
  await Promise.all([lane(), lane()])
  return n
}

/** What was published in this turn has been handed on. */
async function nextTurn() {
  await new Promise(setImmediate)
  await new Promise(setImmediate)
}

function publishFor(ms, publish, hub, batch) {
  const end = performance.now() + ms
  return publishWhile(() => performance.now() < end, publish, hub, batch)
}

async function publishCount(count, hub) {
  const end = next + count
  await publishWhile(() => next < end, publishTogether, hub, 1_000)
  return count
}

/** The log of the measures of a large one. */
let log
let large

const mib = (bytes) => bytes / 2 ** 20

serve({
  /** As fast as possible, `batch` at a time, one by one or `together`. `keeps`: everything, or the default history. */
  async publish({ batch, warmMs, ms, keeps, together }) {
    const publish = together ? publishTogether : publishEach
    const { hub, counted } = open(logFile(), keeps ? EVERYTHING : undefined)
    await subscribeLive(hub, stream(), '>')
    await publishFor(warmMs, publish, hub, batch)
    counted.commits = 0
    let n
    const figures = await cost(async () => {
      n = await publishFor(ms, publish, hub, batch)
      return n
    })
    await hub.close()
    return { ...figures, batch: n / counted.commits }
  },

  /** At a fixed rate: the events that are due are published once a millisecond. */
  async pace({ rate, warmMs, ms }) {
    const { hub, counted } = open(logFile())
    await subscribeLive(hub, stream(), '>')
    const acknowledged = []
    const pace = async (ms) => {
      const begin = performance.now()
      const pending = new Set()
      let sent = 0
      for (let now = begin; now < begin + ms; now = performance.now()) {
        for (; sent < ((now - begin) * rate) / 1_000; sent++) {
          const at = performance.now()
          const receipt = hub.publish(channel(), TEXT).then(() => {
            acknowledged.push(performance.now() - at)
            pending.delete(receipt)
          })
          pending.add(receipt)
        }
        await sleep(1)
      }
      await Promise.all(pending)
      return sent
    }
    await pace(warmMs)
    acknowledged.length = counted.commits = 0
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const { cpu, rate: reached } = await cost(() => pace(ms))
    delay.disable()
    await hub.close()
    const synced = syncTimes(300)
    return {
      ack50: percentile(acknowledged, 50),
      ack99: percentile(acknowledged, 99),
      delay99: delay.percentile(99) / 1e6,
      delayMax: delay.max / 1e6,
      batch: acknowledged.length / counted.commits,
      cpu,
      rate: reached,
      ...(!inMemory && { sync50: percentile(synced, 50), sync99: percentile(synced, 99) }),
    }
  },

  /** Makes a log of `count` events, which is the limit of its retention. */
  async make({ count }) {
    large = { file: logFile(), count, history: { ...EVERYTHING, maxBytes: count * EVENT_BYTES } }
    log = open(large.file, large.history)
    const { rate } = await cost(() => publishCount(count, log.hub))
    await log.hub.close()
    return { mib: mib(statSync(large.file).size), rate }
  },

  /** Opens it some times, and leaves it open. */
  async open({ times }) {
    const took = []
    for (let i = 0; i < times; i++) {
      await log.hub.close()
      const begin = performance.now()
      log = open(large.file, large.history)
      await log.hub.ready()
      took.push(performance.now() - begin)
    }
    return { p50: percentile(took, 50), p99: percentile(took, 99) }
  },

  /** 200 events after positions at a place (0 = the oldest, 1 = the newest), of one channel or of all. */
  async read({ place, all, times }) {
    const { broker } = log
    const none = { channels: [], patterns: [], matches: () => false }
    const { epoch, seq: end } = (await broker.read(undefined, none, { events: 1, bytes: 1 })).upto
    const missed = 200
    const span = missed * (all ? 1 : CHANNELS)
    // The very oldest may be about to go.
    const oldest = end - 0.98 * large.count
    const took = []
    for (let i = 0; i < times; i++) {
      const seq = Math.floor(oldest + (end - span - oldest) * place) - (i % 50)
      const selector = { channels: all ? [] : [`c${i % CHANNELS}`], patterns: all ? ['>'] : [] }
      const begin = performance.now()
      const { items } = await broker.read({ epoch, seq }, selector, { events: missed, bytes: 1_048_576 })
      took.push(performance.now() - begin)
      if (items.length < missed || 'channels' in items[0]) throw new Error(`${items.length} events after ${seq}`)
    }
    return { p50: percentile(took, 50), p99: percentile(took, 99) }
  },

  /** Clients that reconnect 200 events of a channel behind, until they are live. */
  async resume({ times }) {
    const { hub, broker } = log
    const { upto } = await broker.read(undefined, { channels: [], patterns: [] }, { events: 1, bytes: 1 })
    const { epoch, seq } = upto
    const after = `${epoch}.${(seq - 200 * CHANNELS).toString(36)}`
    const took = []
    for (let i = 0; i < times; i++) {
      const to = stream()
      const begin = performance.now()
      await subscribeLive(hub, to, `c${i % CHANNELS}`, { after })
      took.push(performance.now() - begin)
      to.close()
    }
    return { p50: percentile(took, 50), p99: percentile(took, 99) }
  },

  /** Publishes on: as much as the log has, twice. */
  async more() {
    const sizeOf = (suffix) => mib(statSync(`${large.file}${suffix}`).size)
    let wal = 0
    const looking = setInterval(() => {
      wal = Math.max(wal, sizeOf('-wal'))
    }, 5)
    const { rate } = await cost(() => publishCount(2 * large.count, log.hub))
    clearInterval(looking)
    const size = sizeOf('')
    await log.hub.close()
    return { mib: size, wal, rate }
  },
})
