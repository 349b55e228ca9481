import { randomUUID } from 'node:crypto'
import type { ChannelHub } from '../src/index.ts'
import type { Beat, Channels } from './channels.ts'

const INTERVAL_MS = 100

/** Consecutive numbers, across restarts of the server: a page notices a lost event as a missing number. */
export class BeatPublisher {
  readonly #hub: ChannelHub<Channels>
  /** A number that is published again is the same event, because it has the same key. */
  readonly #life = randomUUID()
  #last = 0
  #timer: NodeJS.Timeout | undefined
  #stopped = false

  constructor(hub: ChannelHub<Channels>) {
    this.#hub = hub
  }

  /** The last number that is in the log. */
  get last(): number {
    return this.#last
  }

  /** Goes on after the number that the log ends with. `server` must have been published before: it comes last there. */
  async start(): Promise<void> {
    for await (const item of this.#hub.events(['beat', 'server'], { rewind: 1 })) {
      if ('gap' in item) continue
      if (item.channel === 'beat') this.#last = (item.data as Beat).n
      else break
    }
    this.#schedule()
  }

  stop(): void {
    this.#stopped = true
    clearTimeout(this.#timer)
  }

  #schedule(): void {
    if (this.#stopped) return
    const at = Date.now()
    // By the clock and not after the last one, so that a slow commit does not slow the beat.
    const wait = INTERVAL_MS - (at % INTERVAL_MS)
    this.#timer = setTimeout(() => this.#publish({ n: this.#last + 1, at: at + wait }), wait)
  }

  async #publish(beat: Beat): Promise<void> {
    while (!this.#stopped) {
      try {
        await this.#hub.publish('beat', beat, { idempotencyKey: `${this.#life}.${beat.n}` })
        this.#last = beat.n
        break
      } catch {
        // Told of by the hub. Whether it was kept or not: the same number with the same key, until it is.
        await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS))
      }
    }
    this.#schedule()
  }
}
