import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { type ClientRequest, get, type IncomingMessage } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createParser } from 'eventsource-parser'
import { afterEach, expect, it } from 'vitest'
import { randomOf } from '../support/random.ts'
import type { SoakOptions, SoakReport, SoakRequest } from './soak-server.ts'

// SOAK=1 runs the sizes that the README speaks of; without it they are a tenth, to be run with every change.
const FULL = process.env['SOAK'] !== undefined
const SCALE = FULL ? 1 : 0.1

let server: ChildProcess
let port: number

async function serve(options: SoakOptions): Promise<void> {
  server = fork(fileURLToPath(new URL('./soak-server.ts', import.meta.url)), [JSON.stringify(options)], {
    execArgv: ['--import', 'tsx', '--expose-gc'],
  })
  const [{ port: listening }] = (await once(server, 'message')) as [{ port: number }]
  port = listening
}

async function ask<T>(request: SoakRequest): Promise<T> {
  server.send(request)
  const [answer] = await once(server, 'message')
  return answer as T
}

afterEach(async () => {
  if (server.exitCode !== null) return
  const exited = once(server, 'exit')
  server.send({ do: 'close' })
  const killer = setTimeout(() => server.kill('SIGKILL'), 20_000)
  await exited
  clearTimeout(killer)
})

/** What went wrong, over all clients. */
const problems: string[] = []
const complain = (problem: string) => {
  if (problems.length < 20) problems.push(problem)
}

/** A client that resumes where it was whenever it is cut, and checks that the numbers of each channel have no hole. */
class Client {
  readonly #channels: readonly string[]
  readonly last = new Map<string, number>()
  #gapped = new Set<string>()
  #lastEventId = ''
  #request: ClientRequest | undefined
  #response: IncomingMessage | undefined
  received = 0
  gaps = 0
  connects = 0
  #stopped = false
  /** Ends the wait for hub.open: it has come, or the connection was cut before. */
  #settle: () => void = () => {}

  constructor(channels: readonly string[]) {
    this.#channels = channels
  }

  /** Connects; resolves at hub.open. */
  connect(): Promise<void> {
    this.connects++
    return new Promise((resolve, reject) => {
      this.#settle = resolve
      const query = this.#channels.map((channel) => `channel=${channel}`).join('&')
      const headers: Record<string, string> = { Accept: 'text/event-stream' }
      if (this.#lastEventId !== '') headers['Last-Event-ID'] = this.#lastEventId
      const parser = createParser({
        onEvent: ({ event, id, data }) => {
          if (id !== undefined) this.#lastEventId = id
          if (event === 'hub.open') resolve()
          else if (event === 'hub.gap') this.#gap(JSON.parse(data))
          else if (event === undefined) this.#event(data)
        },
      })
      const request = get({ port, path: `/channels?${query}`, headers, agent: false }, (response) => {
        this.#response = response
        response.setEncoding('utf8')
        response.on('data', (text: string) => {
          if (this.#request === request) parser.feed(text)
        })
        response.on('error', () => {})
      })
      this.#request = request
      request.on('error', (error) => {
        if (this.#request === request && !this.#stopped) reject(error)
      })
    })
  }

  /** Cuts the connection and reconnects, as an EventSource does. */
  async reconnect(): Promise<void> {
    this.#cut()
    await this.connect()
  }

  pause(): void {
    this.#response?.pause()
  }

  resume(): void {
    this.#response?.resume()
  }

  stop(): void {
    this.#stopped = true
    this.#cut()
  }

  #cut(): void {
    const request = this.#request
    this.#request = this.#response = undefined
    request?.destroy()
    this.#settle()
  }

  #event(data: string): void {
    const [channel, number] = data.split(' ', 2) as [string, string]
    const n = Number(number)
    const last = this.last.get(channel)
    this.received++
    const told = this.#gapped.delete(channel)
    if (last !== undefined) {
      if (n <= last) complain(`${channel} ${n} after ${last}: twice, or out of order`)
      else if (n > last + 1 && !told) complain(`${channel} ${n} after ${last}: lost`)
      else if (n === last + 1 && told) complain(`${channel} ${n} after ${last}: false gap`)
    }
    this.last.set(channel, n)
  }

  #gap({ reason, channels }: { reason: string; channels: string[] }): void {
    this.gaps++
    if (reason !== 'trimmed') complain(`gap of reason ${reason}`)
    for (const channel of channels) this.#gapped.add(channel)
  }
}

async function eventually(what: string, isSo: () => boolean | Promise<boolean>, timeoutMs = 60_000): Promise<void> {
  const end = Date.now() + timeoutMs
  while (!(await isSo())) {
    if (Date.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}; ${problems.join('; ')}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function backAtZero(): Promise<void> {
  await eventually('nothing is left', async () => {
    const { stats, connections } = await ask<SoakReport>({ do: 'report' })
    const left = stats.streams + stats.subscriptions + stats.channels + stats.bufferedBytes
    return left === 0 && connections === 0
  })
}

interface Soak {
  readonly seed: number
  readonly clients: number
  readonly lagging: number
  readonly channels: number
  readonly events: number
  readonly bytes: number
  readonly maxEvents: number
}

async function soak(options: Soak): Promise<{ gaps: number; received: number; connects: number }> {
  problems.length = 0
  const random = randomOf(options.seed)
  const { channels, events, bytes } = options
  await serve({ channels, maxEvents: options.maxEvents })
  const clients = Array.from({ length: options.clients }, (_, i) => {
    const count = 1 + Math.floor(random() * 3)
    return new Client(Array.from({ length: count }, (_, k) => `c${(i + k * 7) % channels}`))
  })
  await Promise.all(clients.map((client) => client.connect()))
  const lagging = clients.slice(0, options.lagging)
  let publishing = true
  const published = ask<{ published: Record<string, number> }>({
    do: 'publish',
    events,
    perTurn: 20,
    bytes,
    channels,
    acknowledged: true,
  }).finally(() => {
    publishing = false
  })
  for (const client of lagging) client.pause()
  const cuts: Promise<void>[] = []
  while (publishing) {
    for (let i = 0; i < 10; i++) {
      const client = clients[lagging.length + Math.floor(random() * (clients.length - lagging.length))]!
      cuts.push(client.reconnect())
    }
    const waking = lagging[Math.floor(random() * lagging.length)]!
    waking.resume()
    await Promise.all(cuts.splice(0))
    waking.pause()
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const { published: last } = await published
  for (const client of lagging) client.resume()
  // Those who were cut before the first event of a channel begin there: the channel's last number is what counts.
  const complete = (client: Client) => [...client.last].every(([channel, n]) => n === last[channel])
  await eventually('every client has every event', () => clients.every(complete))
  const total = { gaps: 0, received: 0, connects: 0 }
  for (const client of clients) {
    total.gaps += client.gaps
    total.received += client.received
    total.connects += client.connects
    client.stop()
  }
  expect(problems).toEqual([])
  await backAtZero()
  return total
}

it('no client loses an event, or receives it twice or out of order, after any cut', { timeout: 300_000 }, async () => {
  const total = await soak({
    seed: 1,
    clients: 1_000 * SCALE,
    lagging: 100 * SCALE,
    channels: 50,
    events: 100_000 * SCALE,
    bytes: 100,
    maxEvents: 100_000,
  })
  if (FULL) console.log('soak', total)
  expect(total.gaps).toBe(0)
  expect(total.connects).toBeGreaterThan(1_000 * SCALE)
})

it('clients that history has left behind receive an exact gap', { timeout: 300_000 }, async () => {
  // Larger than the buffers of sockets and memory for clients that pause.
  const total = await soak({
    seed: 2,
    clients: 200 * SCALE,
    lagging: 50 * SCALE,
    channels: 5,
    events: 3_000,
    bytes: 20_000,
    maxEvents: 20,
  })
  if (FULL) console.log('soak with short history', total)
  expect(total.gaps).toBeGreaterThan(0)
})

it('a reader that never reads costs one buffer', { timeout: 300_000 }, async () => {
  problems.length = 0
  const bytes = 25_000
  await serve({ channels: 1, maxEvents: 100 })
  const clients = [new Client(['c0']), new Client(['c0'])]
  const dead = new Client(['c0'])
  await Promise.all([...clients, dead].map((client) => client.connect()))
  const publish = (events: number) =>
    ask<{ published: Record<string, number> }>({
      do: 'publish',
      events,
      perTurn: 1,
      bytes,
      channels: 1,
      acknowledged: true,
    })
  // History, memory and buffers fill first; later growth belongs to the reader alone.
  await publish(2_000)
  dead.pause()
  await publish(500)
  const before = await ask<SoakReport>({ do: 'report' })
  const { published } = await publish(2_000)
  await eventually('the others have everything', () => clients.every(({ last }) => last.get('c0') === published['c0']))
  const after = await ask<SoakReport>({ do: 'report' })
  const grown = (after.heapAndExternal - before.heapAndExternal) / 1_048_576
  const rss = (after.rss - before.rss) / 1_048_576
  if (FULL) console.log(`heap and external grew by ${grown.toFixed(1)} MiB, RSS by ${rss.toFixed(1)} MiB`)
  expect(grown).toBeLessThan(10)
  expect(rss).toBeLessThan(30)
  dead.resume()
  await eventually('it reads on', () => dead.last.get('c0') === published['c0'])
  expect(dead.gaps).toBeLessThanOrEqual(1)
  for (const client of [...clients, dead]) client.stop()
  expect(problems).toEqual([])
  await backAtZero()
})
