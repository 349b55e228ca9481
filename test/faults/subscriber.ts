import { setTimeout as sleep } from 'node:timers/promises'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { type Seen, type Subscription, seqOf } from './story.ts'

/** A client that reconnects with its last event ID, a short while after every end of its connection. */
export class Subscriber implements Subscription {
  readonly name: string
  readonly channels: readonly string[]
  readonly seen: Seen[] = []
  lastEventId = ''
  /** How many connections have got their `hub.open`. */
  opened = 0
  readonly #url: () => string
  readonly #asked: readonly string[]
  readonly #abort = new AbortController()
  readonly #uids = new Set<string>()
  #running: Promise<void> | undefined
  /** Present while it must not reconnect. */
  #away: { readonly over: Promise<void>; readonly end: () => void } | undefined
  #waiting: (() => void)[] = []

  /** `asked`: names and patterns that stand for `channels`. */
  constructor(url: () => string, name: string, channels: readonly string[], asked = channels) {
    this.#url = url
    this.name = name
    this.channels = channels
    this.#asked = asked
  }

  start(): void {
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    this.comeBack()
    await this.#running
  }

  /** After the end of its connection it does not reconnect before `comeBack`. */
  stayAway(): void {
    let end = () => {}
    const over = new Promise<void>((resolve) => (end = resolve))
    this.#away ??= { over, end }
  }

  comeBack(): void {
    this.#away?.end()
    this.#away = undefined
  }

  /** Resolves as soon as `condition` holds; rejects, saying `what`, when it takes too long. */
  async until(condition: () => boolean, what: string, ms = 20_000): Promise<void> {
    const end = performance.now() + ms
    while (!condition()) {
      if (performance.now() > end) {
        const last = this.seen.filter((item) => item.what !== 'event').slice(-4)
        throw new Error(`${this.name} at ${this.lastEventId}: ${what}: not within ${ms} ms; ${JSON.stringify(last)}`)
      }
      await Promise.race([new Promise<void>((resolve) => this.#waiting.push(resolve)), sleep(50)])
    }
  }

  has(uid: string): boolean {
    return this.#uids.has(uid)
  }

  /** Whether it received, from index `since` on, a gap that may include the event with this ID. */
  wasTold(id: string, since: number): boolean {
    return this.seen.slice(since).some((item) => item.what === 'gap' && seqOf(item.to) >= seqOf(id))
  }

  async #run(): Promise<void> {
    while (!this.#abort.signal.aborted) {
      await this.#connect().catch(() => {})
      if (this.seen.at(-1)?.what !== 'cut') this.#see({ what: 'cut' })
      await sleep(20 + Math.random() * 30)
      await this.#away?.over
    }
  }

  async #connect(): Promise<void> {
    const query = this.#asked.map((channel) => `channel=${channel}`).join('&')
    const sent = this.lastEventId
    const answer = await fetch(`${this.#url()}/channels?${query}`, {
      headers: { Accept: 'text/event-stream', ...(sent !== '' && { 'Last-Event-ID': sent }) },
      signal: this.#abort.signal,
    })
    if (!answer.ok) throw new Error(`${answer.status}`)
    const parser = createParser({ onEvent: (event) => this.#read(event, sent) })
    const decoder = new TextDecoder()
    for await (const bytes of answer.body!) parser.feed(decoder.decode(bytes, { stream: true }))
  }

  #read({ event, id, data }: EventSourceMessage, sent: string): void {
    if (id !== undefined) this.lastEventId = id
    const content = JSON.parse(data)
    if (event === 'hub.open') {
      this.opened++
      this.#see({ what: 'open', sent, resumed: content.resumed, id })
    } else if (event === 'hub.gap') {
      this.#see({ what: 'gap', ...content })
    } else if (event === undefined) {
      this.#see({ what: 'event', id: id!, ...content })
    }
  }

  #see(item: Seen): void {
    this.seen.push(item)
    if (item.what === 'event') this.#uids.add(item.uid)
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}
