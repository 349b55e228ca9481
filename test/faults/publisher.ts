import { setTimeout as sleep } from 'node:timers/promises'
import type { Publication } from './story.ts'

/** How long one attempt may take: a frozen hub answers nothing. */
const ATTEMPT_MS = 3_000

export interface PublisherHost {
  readonly url: string
  readonly random: () => number
  readonly channels: readonly string[]
  /** How many faults there have been. */
  readonly faults: number
  /** At most this long between two events. Default: as fast as they are acknowledged, but for a short rest now and then. */
  readonly pauseMs?: number
  /** Each event is sent once, without a key: where the answer is missing, it may be in the log or not. */
  readonly keyless?: boolean
}

/** Publishes one event after the other over HTTP, and repeats each with its key until it knows that it is in the log. */
export class Publisher {
  readonly publications: Publication[] = []
  readonly #host: PublisherHost
  readonly #name: string
  #stopped = false
  /** Present while nothing may be published. */
  #paused: { readonly over: Promise<void>; readonly end: () => void } | undefined
  #running: Promise<void> | undefined

  constructor(host: PublisherHost, name: string) {
    this.#host = host
    this.#name = name
  }

  start(): void {
    this.#running = this.#run()
  }

  /** No new event, and no further attempt, before `resume`. */
  pause(): void {
    let end = () => {}
    const over = new Promise<void>((resolve) => (end = resolve))
    this.#paused ??= { over, end }
  }

  resume(): void {
    this.#paused?.end()
    this.#paused = undefined
  }

  /** Resolves when the last event is acknowledged. */
  async finish(): Promise<void> {
    this.resume()
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    const { random, channels, pauseMs } = this.#host
    while (!this.#stopped) {
      const channel = channels[Math.floor(random() * channels.length)]!
      await this.publish(channel)
      // A pause now and then, so that batches are of all sizes.
      if (pauseMs !== undefined) await sleep(random() * pauseMs)
      else if (random() < 0.1) await sleep(random() * 5)
    }
  }

  /** Publishes one event, however long that takes. */
  async publish(channel: string): Promise<Publication> {
    const uid = `${this.#name}-${this.publications.length}`
    const publication: Publication = { uid, channel, id: undefined, afterFaults: 0 }
    this.publications.push(publication)
    while (publication.id === undefined) {
      await this.#paused?.over
      try {
        publication.id = await this.#attempt(channel, uid)
      } catch {
        await sleep(10 + this.#host.random() * 40)
      }
      if (this.#host.keyless === true) break
    }
    publication.afterFaults = this.#host.faults
    return publication
  }

  /** Undefined when the answer says that it should be tried again. */
  async #attempt(channel: string, uid: string): Promise<string | undefined> {
    const answer = await fetch(`${this.#host.url}/channels/${channel}`, {
      method: 'POST',
      headers: {
        'Content-Type': 'application/json',
        ...(this.#host.keyless !== true && { 'Idempotency-Key': `"${uid}"` }),
      },
      body: JSON.stringify({ uid, channel }),
      signal: AbortSignal.timeout(ATTEMPT_MS),
    })
    const body = (await answer.json()) as { id: string; code: string }
    if (answer.ok) return body.id
    if (answer.status !== 503) throw new Error(`${answer.status} ${body.code}`)
    await sleep(10 + this.#host.random() * 40)
    return undefined
  }
}
