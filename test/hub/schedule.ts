import { covers } from '../../src/channel-name.ts'
import { Hub } from '../../src/hub/hub.ts'
import { LogTail } from '../../src/hub/log-tail.ts'
import { resolveHubOptions } from '../../src/hub/options.ts'
import { newEvent } from '../../src/hub/publisher.ts'
import type { Subscription } from '../../src/hub/subscription.ts'
import { FakeSubscriber } from '../support/fake-subscriber.ts'
import { ReadingClient } from '../support/reading-client.ts'
import { ScriptedBroker } from '../support/scripted-broker.ts'
import { subscribe } from '../support/subscribe.ts'

/** A client that always reconnects, on a fake stream. */
interface Client {
  readonly names: readonly string[]
  readonly reading: ReadingClient
  stream: FakeSubscriber | undefined
  subscription: Subscription | undefined
}

/** One step of a schedule. */
export type Step =
  | { do: 'append' | 'publish'; channel: string }
  | { do: 'trim'; channel: string }
  | { do: 'hand over'; count: number }
  | { do: 'connect' | 'stall' | 'drain' | 'heartbeat'; client: number }
  /** The last `unread` blocks that were written never arrive. */
  | { do: 'cut'; client: number; unread: number }
  | { do: 'confirm' | 'serve' | 'deliver' | 'turn' | 'commit' | 'close' | 'break link' | 'forget tail' }

/** A subscription that is not live after this many rounds is stuck. */
const MOST_ROUNDS = 200

/** A hub on a scripted broker, its clients, and the steps that can happen to them in any order. */
export class Schedule {
  readonly broker = new ScriptedBroker()
  readonly hub: Hub
  readonly clients: Client[]
  readonly errors: unknown[] = []
  /** The hub is closing; no client reconnects to it. */
  #closed: Promise<void> | undefined

  constructor(clients: readonly (readonly string[])[]) {
    this.hub = new Hub(this.broker, resolveHubOptions({}))
    this.hub.on('error', (error) => this.errors.push(error))
    // Pages of the tail are as small as those of the broker.
    const { tail } = this.hub
    tail.read = (after, selector, limit) =>
      LogTail.prototype.read.call(tail, after, selector, {
        ...limit,
        events: Math.min(limit.events, this.broker.pageEvents),
      })
    const truth = {
      get events() {
        return events()
      },
      isGone: (seq: number) => this.broker.log.some(({ event, kept }) => event.seq === seq && !kept),
    }
    const events = () => this.broker.log.map(({ event }) => event)
    this.clients = clients.map((names) => ({
      names,
      reading: new ReadingClient((channel) => names.some((name) => covers(name, channel)), truth),
      stream: undefined,
      subscription: undefined,
    }))
  }

  /** Whether the step would change anything now. */
  enabled(step: Step): boolean {
    const { waiting } = this.broker
    switch (step.do) {
      case 'close':
      case 'connect':
      case 'publish':
        if (this.#closed !== undefined) return false
        return step.do !== 'connect' || this.clients[step.client]!.stream === undefined
      case 'commit':
        return waiting.publishes > 0
      case 'append':
      case 'turn':
      case 'break link':
      case 'forget tail':
        return true
      case 'trim':
        return this.broker.log.some(({ event, kept }) => kept && event.channel === step.channel)
      case 'hand over':
        return waiting.unhanded > 0
      case 'confirm':
        return waiting.subscriptions > 0
      case 'serve':
        return waiting.unserved > 0
      case 'deliver':
        return waiting.served > 0
      case 'stall':
        return this.clients[step.client]!.stream?.stalled === false
      case 'drain':
        return this.clients[step.client]!.stream?.stalled === true
      default:
        return this.clients[step.client]!.stream !== undefined
    }
  }

  async take(step: Step): Promise<void> {
    if (!this.enabled(step)) return
    switch (step.do) {
      case 'append':
        this.broker.append(step.channel)
        break
      case 'publish':
        this.hub
          .publish([newEvent(step.channel, `${step.channel} ?`, {}, 1_000)])
          .catch((error) => this.errors.push(error))
        break
      case 'commit':
        this.broker.commit()
        break
      case 'close':
        this.#closed = this.hub.close({})
        break
      case 'trim':
        this.broker.trim(step.channel)
        break
      case 'hand over':
        this.broker.handOver(step.count)
        break
      case 'confirm':
        this.broker.confirm()
        break
      case 'serve':
        this.broker.serve()
        break
      case 'deliver':
        this.broker.deliver()
        break
      case 'break link':
        this.broker.breakLink()
        break
      case 'forget tail':
        this.hub.tail.reset(this.hub.tail.top)
        break
      case 'turn':
        await new Promise((resolve) => setImmediate(resolve))
        break
      case 'connect':
        this.#connect(this.clients[step.client]!)
        break
      case 'cut':
        this.#cut(this.clients[step.client]!, step.unread)
        break
      case 'stall':
        this.clients[step.client]!.stream!.stall()
        break
      case 'drain':
        this.clients[step.client]!.stream!.drain()
        break
      case 'heartbeat':
        this.clients[step.client]!.stream!.heartbeat()
    }
    // What follows from a step without waiting for the event loop follows now.
    for (let i = 0; i < 10; i++) await undefined
  }

  /** Completes the schedule, with all clients connected and no client stalled. */
  async goLive(): Promise<void> {
    for (const client of this.clients) {
      if (client.stream === undefined) this.#connect(client)
    }
    for (let round = 0; round < MOST_ROUNDS && !this.#settled; round++) {
      for (const { stream } of this.clients) stream?.drain()
      for (const _ of this.clients) {
        this.broker.confirm()
        this.broker.serve()
        this.broker.deliver()
      }
      this.broker.commit()
      this.broker.handOver()
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Runs to the end. Returns the mistakes in the story of each client. */
  async finish(): Promise<string[]> {
    if (this.#closed === undefined) await this.goLive()
    else await this.#finishClosing(this.#closed)
    const problems = this.errors.map((error) => `error ${error}`)
    if (this.#closed !== undefined) {
      // Events that were not handed over yet belong to the next connection; earlier ones must be right here.
      for (const client of this.clients) {
        if (client.stream?.state === 'open') problems.push('a stream has outlived its hub')
        this.#read(client)
        problems.push(...client.reading.problems)
        client.stream = undefined
      }
    }
    for (const [i, client] of this.#closed === undefined ? this.clients.entries() : []) {
      const state = client.subscription?.state
      // Stuck: nothing waits for it, and it is not live.
      if (state !== 'live') problems.push(`client ${i} is ${state}`)
      this.#read(client)
      client.reading.finish()
      problems.push(...client.reading.problems.map((problem) => `client ${i}: ${problem}`))
      this.#cut(client, 0)
    }
    await this.take({ do: 'turn' })
    const left = this.hub.stats()
    if (left.subscriptions + left.channels + this.broker.subscribed > 0) problems.push('something is left behind')
    return problems
  }

  async #finishClosing(closed: Promise<void>): Promise<void> {
    let over = false
    closed.then(() => {
      over = true
    })
    for (let round = 0; round < MOST_ROUNDS && !over; round++) {
      this.broker.confirm()
      this.broker.commit()
      this.broker.handOver()
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (!over) this.errors.push('the hub never closed')
  }

  #connect(client: Client): void {
    const stream = new FakeSubscriber(client.reading.lastEventId)
    client.stream = stream
    subscribe(this.hub, stream, client.names).then(
      (subscription) => {
        if (client.stream === stream) client.subscription = subscription
      },
      (error) => {
        // A stream that was about to begin asks its client to reconnect.
        if (this.#closed === undefined) this.errors.push(error)
      },
    )
  }

  get #settled(): boolean {
    const { subscriptions, unserved, served, unhanded, publishes } = this.broker.waiting
    const live = this.clients.every(({ stream, subscription }) => subscription?.state === 'live' && !stream!.stalled)
    return live && subscriptions + unserved + served + unhanded + publishes === 0
  }

  #cut(client: Client, unread: number): void {
    client.stream?.received.splice(Math.max(0, client.stream.received.length - unread))
    this.#read(client)
    client.stream?.close('client')
    client.stream = undefined
    client.subscription = undefined
  }

  #read(client: Client): void {
    if (client.stream !== undefined) client.reading.read(client.stream.received.splice(0))
  }
}
