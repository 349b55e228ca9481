import { covers } from '../../src/channel-name.ts'
import { Hub } from '../../src/hub/hub.ts'
import { LogTail } from '../../src/hub/log-tail.ts'
import { resolveHubOptions } from '../../src/hub/options.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import { Snapshots } from '../../src/state/snapshots.ts'
import { FakeSubscriber } from '../support/fake-subscriber.ts'
import { ReadingClient } from '../support/reading-client.ts'
import { ScriptedBroker } from '../support/scripted-broker.ts'
import { subscribe } from '../support/subscribe.ts'

type State = Map<string, string | null>

/** A client that replaces its state by each snapshot, and changes it by each event. */
interface Client {
  readonly names: readonly string[]
  /** Reads the ordinary channel. */
  reading: ReadingClient
  state: State
  lastEventId: string
  /** It has a position and no state: it asks until it has received an ID. */
  asks: boolean
  stream: FakeSubscriber | undefined
  subscription: Subscription | undefined
}

export interface Setting {
  /** The log can lose its last events, and begin a new epoch. */
  readonly failOver: boolean
  /** The oldest kept events can be deleted. */
  readonly trim: boolean
  /** Kept events of each channel that a client without a position begins with. */
  readonly rewind: number
  readonly maxAgeMs: number
  readonly pageEvents: number
}

/** The ordinary channel, a channel with state, and two of a pattern that is listed. */
const CHANNELS = ['a', 's', 'p.1', 'p.2']
const SUBSCRIPTIONS = [['s'], ['a', 's'], ['a', 'p.*'], ['>']]
const MOST_ROUNDS = 300

/** A hub on a scripted broker, a database, and clients with state, in any order of their steps. */
export class StateSchedule {
  readonly broker = new ScriptedBroker()
  readonly hub: Hub
  readonly clients: Client[]
  readonly problems: string[] = []
  /** The database of the application. */
  readonly #database: State = new Map()
  /** Calls of the snapshot functions: each reads the database in a step, and answers in another. */
  readonly #calls: { read: () => unknown; answer: unknown; isRead: boolean; resolve: (answer: unknown) => void }[] = []
  readonly #setting: Setting
  /** A rewind begins in the middle of the ordinary channel, and a failed log has lost events of it without a trace. */
  readonly #checksOrdinary: boolean
  #version = 0
  #epochs = 0
  snapshots = 0
  gaps = 0
  calls = 0

  constructor(setting: Setting) {
    this.#setting = setting
    this.#checksOrdinary = !setting.failOver && setting.rewind === 0
    this.broker.pageEvents = setting.pageEvents
    this.hub = new Hub(this.broker, resolveHubOptions({}))
    this.hub.on('error', (error) => this.problems.push(`error ${error}`))
    const { tail } = this.hub
    tail.read = (after, selector, limit) =>
      LogTail.prototype.read.call(tail, after, selector, {
        ...limit,
        events: Math.min(limit.events, setting.pageEvents),
      })
    const snapshots = new Snapshots(this.hub)
    const options = { maxAgeMs: setting.maxAgeMs }
    snapshots.register('s', (channel) => this.#ask(() => this.#database.get(channel) ?? null), options)
    snapshots.register('p.*', (channel) => this.#ask(() => this.#database.get(channel) ?? null), {
      ...options,
      list: () => this.#ask(() => CHANNELS.filter((name) => covers('p.*', name) && this.#database.get(name) != null)),
    } as never)
    this.hub.snapshots = snapshots
    this.clients = SUBSCRIPTIONS.map((names) => this.#newClient(names))
  }

  #newClient(names: readonly string[]): Client {
    const { broker } = this
    const truth = {
      get events() {
        return broker.log.map(({ event }) => event)
      },
      isGone: (seq: number) => broker.log.some(({ event, kept }) => event.seq === seq && !kept),
    }
    const hearsOrdinary = names.some((name) => covers(name, 'a'))
    const reading = new ReadingClient((channel) => channel === 'a' && hearsOrdinary, truth)
    return {
      names,
      reading,
      state: new Map(),
      lastEventId: '',
      asks: false,
      stream: undefined,
      subscription: undefined,
    }
  }

  #ask(read: () => unknown): Promise<never> {
    this.calls++
    return new Promise<unknown>((resolve) => {
      this.#calls.push({ read, answer: undefined, isRead: false, resolve })
    }) as Promise<never>
  }

  /** The steps, each with its weight. */
  readonly steps: readonly (readonly [weight: number, step: (random: (below: number) => number) => unknown])[] = [
    [6, (random) => this.#write(CHANNELS[random(CHANNELS.length)]!, random(6) === 0)],
    [2, (random) => this.#setting.trim && this.broker.trim(CHANNELS[random(CHANNELS.length)]!)],
    [6, (random) => this.broker.handOver(1 + random(4))],
    [6, (random) => this.#connect(this.#client(random))],
    [3, (random) => this.#cut(this.#client(random), random(5))],
    [2, (random) => this.#reload(this.#client(random))],
    [1, (random) => this.#client(random).stream?.stall()],
    [3, (random) => this.#client(random).stream?.drain()],
    [1, (random) => this.#client(random).stream?.heartbeat()],
    [8, () => this.broker.confirm()],
    [10, () => this.broker.serve()],
    [10, () => this.broker.deliver()],
    [8, () => this.#read()],
    [8, (random) => this.#answer(random)],
    [10, () => new Promise((resolve) => setImmediate(resolve))],
    [1, () => this.broker.breakLink()],
    [1, () => this.hub.tail.reset(this.hub.tail.top)],
    [1, (random) => this.#setting.failOver && this.#failOver(random(4))],
  ]

  async take(random: (below: number) => number): Promise<void> {
    let at = random(this.steps.reduce((sum, [weight]) => sum + weight, 0))
    const step = this.steps.find(([weight]) => {
      at -= weight
      return at < 0
    })!
    await step[1](random)
    for (let i = 0; i < 20; i++) await undefined
  }

  /** Until all clients are live. */
  async goLive(): Promise<void> {
    for (let round = 0; round < MOST_ROUNDS && !this.#isSettled; round++) {
      for (const client of this.clients) {
        if (client.stream?.state !== 'open' && client.stream?.state !== 'idle') this.#cut(client, 0)
        this.#connect(client)
        client.stream!.drain()
      }
      for (const _ of this.clients) {
        this.broker.confirm()
        this.broker.serve()
        this.broker.deliver()
        this.#read()
        this.#answer(() => 0)
      }
      this.broker.handOver()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Runs to the end. Returns the mistakes. */
  async finish(): Promise<string[]> {
    await this.goLive()
    for (const [i, client] of this.clients.entries()) {
      const state = client.subscription?.state
      if (state !== 'live') this.problems.push(`client ${i} is ${state}`)
      this.#receive(client)
      for (const channel of CHANNELS) {
        if (channel === 'a' || !client.names.some((name) => covers(name, channel))) continue
        const [has, should] = [client.state.get(channel) ?? null, this.#database.get(channel) ?? null]
        if (has !== should) this.problems.push(`client ${i}: ${channel} is ${has}, and not ${should}`)
      }
      if (this.#checksOrdinary) {
        client.reading.finish()
        this.problems.push(...client.reading.problems.map((problem) => `client ${i}: ${problem}`))
      }
      this.#cut(client, 0)
    }
    await new Promise((resolve) => setImmediate(resolve))
    return this.problems
  }

  get #isSettled(): boolean {
    const { subscriptions, unserved, served, unhanded } = this.broker.waiting
    const live = this.clients.every(({ stream, subscription }) => subscription?.state === 'live' && !stream!.stalled)
    return live && subscriptions + unserved + served + unhanded + this.#calls.length === 0
  }

  #client(random: (below: number) => number): Client {
    return this.clients[random(this.clients.length)]!
  }

  /** The database first, and then the event, with the new value. */
  #write(channel: string, isDelete: boolean): void {
    if (channel === 'a') return void this.broker.append('a')
    const value = isDelete ? null : `${++this.#version}`
    this.#database.set(channel, value)
    this.broker.append(channel, JSON.stringify({ channel, value }))
  }

  #read(): void {
    const call = this.#calls.find(({ isRead }) => !isRead)
    if (call === undefined) return
    call.answer = call.read()
    call.isRead = true
  }

  #answer(random: (below: number) => number): void {
    const read = this.#calls.filter(({ isRead }) => isRead)
    const call = read[random(Math.max(1, read.length))]
    if (call === undefined) return
    this.#calls.splice(this.#calls.indexOf(call), 1)
    call.resolve(call.answer)
  }

  #failOver(lost: number): void {
    this.broker.failOver(lost, `${(++this.#epochs).toString().padStart(6, 'B')}`)
  }

  #connect(client: Client): void {
    if (client.stream !== undefined) return
    const stream = new FakeSubscriber(client.lastEventId)
    client.stream = stream
    const request = { rewind: this.#setting.rewind, ...(client.asks ? { snapshot: true } : {}) }
    subscribe(this.hub, stream, client.names, request).then(
      (subscription) => {
        if (client.stream === stream) client.subscription = subscription
      },
      (error) => this.problems.push(`${error}`),
    )
  }

  #cut(client: Client, unread: number): void {
    client.stream?.received.splice(Math.max(0, client.stream.received.length - unread))
    this.#receive(client)
    client.stream?.close('client')
    client.stream = undefined
    client.subscription = undefined
  }

  /** The page is loaded anew, with a stored position and no state. */
  #reload(client: Client): void {
    this.#cut(client, 0)
    client.state = new Map()
    client.asks = client.lastEventId !== ''
  }

  #receive(client: Client): void {
    for (const event of client.stream?.received.splice(0) ?? []) {
      const { id } = event
      if (id !== undefined) {
        client.lastEventId = id
        client.asks = false
      }
      if (event.event === 'hub.snapshot') {
        this.snapshots++
        const { channel, data } = JSON.parse(event.data)
        client.state.set(channel, data)
      } else if (event.event === 'hub.list') {
        const { pattern, channels } = JSON.parse(event.data)
        for (const name of client.state.keys()) {
          if (covers(pattern, name) && !channels.includes(name)) client.state.delete(name)
        }
      } else if (event.event === undefined && event.data.startsWith('{')) {
        const { channel, value } = JSON.parse(event.data)
        client.state.set(channel, value)
      } else if (this.#checksOrdinary) {
        this.#readOrdinary(client, event)
        continue
      }
      if (this.#checksOrdinary && id !== undefined) {
        client.reading.read([{ event: 'hub.position', id, data: '{}' }])
      }
    }
  }

  #readOrdinary(client: Client, event: FakeSubscriber['received'][number]): void {
    if (event.event !== 'hub.gap') return client.reading.read([event])
    this.gaps++
    const gap = JSON.parse(event.data)
    const channels = gap.channels.filter((name: string) => name === 'a')
    if (gap.channels.includes('s')) this.problems.push('a gap of a channel with state')
    if (channels.length > 0) client.reading.read([{ ...event, data: JSON.stringify({ ...gap, channels }) }])
    else if (event.id !== undefined) client.reading.read([{ event: 'hub.position', id: event.id, data: '{}' }])
  }
}
