import type { Crowd } from './crowd.ts'
import { Publisher } from './publisher.ts'

/** Where events come from. It says when it can take another one, and calls `moved` when that may have changed. */
export interface Source {
  /** Publishes one event, or one command's worth of them, if it may; false when it has to wait. */
  publish(): boolean
  /** Nothing that it has sent is without an answer. */
  readonly idle: boolean
  /** Answers that were no success. */
  readonly refused: number
  /** It publishes one after the other. */
  readonly ordered: boolean
  moved: () => void
  close(): void
}

/** POSTs with at most `window` events in flight, each on a separate connection, so that they arrive together. */
export class Posts implements Source {
  readonly #crowd: Crowd
  readonly #window: number
  readonly #all: Publisher[]
  readonly #free: Publisher[]
  refused = 0
  moved: () => void = () => {}

  constructor(crowd: Crowd, port: number, size: number, window: number, connections = window) {
    this.#crowd = crowd
    this.#window = window
    this.#all = Array.from({ length: connections }, () => {
      return new Publisher(port, size, (publisher, ok) => this.#answered(publisher, ok))
    })
    this.#free = [...this.#all]
  }

  get ordered(): boolean {
    return this.#all.length === 1
  }

  get idle(): boolean {
    return this.#free.length === this.#all.length
  }

  publish(): boolean {
    if (this.#crowd.board.underWay >= this.#window) return false
    // The longest idle one, so that none is idle for so long that the server ends it.
    const publisher = this.#free.shift()
    if (publisher === undefined) return false
    const { channel, n } = this.#crowd.announce()
    publisher.publish(channel, n)
    return true
  }

  close(): void {
    for (const publisher of this.#all) publisher.close()
  }

  #answered(publisher: Publisher, ok: boolean): void {
    if (!ok) this.refused++
    this.#free.push(publisher)
    this.moved()
  }
}

/** The same at a fixed rate, with any number in flight: one every `1 / perSecond`, if the loop keeps up. */
export class PacedPosts implements Source {
  readonly #posts: Posts
  readonly #intervalMs: number
  readonly #timer: NodeJS.Timeout
  readonly ordered = false
  #dueAt = performance.now()
  moved: () => void = () => {}

  constructor(crowd: Crowd, port: number, size: number, perSecond: number) {
    this.#posts = new Posts(crowd, port, size, Number.POSITIVE_INFINITY, 32)
    this.#posts.moved = () => this.moved()
    this.#intervalMs = 1_000 / perSecond
    this.#timer = setInterval(() => this.moved(), 1)
  }

  get idle(): boolean {
    return this.#posts.idle
  }

  get refused(): number {
    return this.#posts.refused
  }

  publish(): boolean {
    const now = performance.now()
    if (now < this.#dueAt || !this.#posts.publish()) return false
    this.#dueAt = Math.max(this.#dueAt + this.#intervalMs, now)
    return true
  }

  close(): void {
    clearInterval(this.#timer)
    this.#posts.close()
  }
}

/** Tells the server to publish in its own process; the next command follows when all of the last have been delivered. */
export class Commands implements Source {
  readonly #crowd: Crowd
  readonly #url: (from: number) => string
  readonly #n: number
  readonly ordered = true
  idle = true
  refused = 0
  moved: () => void = () => {}

  constructor(crowd: Crowd, port: number, size: number, n: number, perTurn: number) {
    this.#crowd = crowd
    this.#n = n
    this.#url = (from) => {
      const query = new URLSearchParams(Object.entries({ channel: 'c0', from, n, perTurn, size }).map(pair))
      return `http://127.0.0.1:${port}/control/publish?${query}`
    }
  }

  publish(): boolean {
    if (!this.idle || this.#crowd.board.underWay > 0) return false
    this.idle = false
    const from = this.#crowd.next
    for (let i = 0; i < this.#n; i++) this.#crowd.announce()
    fetch(this.#url(from), { method: 'POST' }).then(
      ({ ok }) => this.#answered(ok),
      () => this.#answered(false),
    )
    return true
  }

  close(): void {}

  #answered(ok: boolean): void {
    if (!ok) this.refused++
    this.idle = true
    this.moved()
  }
}

const pair = ([name, value]: [string, string | number]): [string, string] => [name, String(value)]
