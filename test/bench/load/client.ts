import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { residentKiB } from '../proc.ts'
import { Crowd } from './crowd.ts'
import { delivered, drive, type Limit, type Outcome, settle } from './drive.ts'
import { MARK_BYTES, payload } from './mark.ts'
import { Meter, sum, type Usage } from './meter.ts'
import { Commands, PacedPosts, Posts, type Source } from './source.ts'
import { neverReading } from './subscriber.ts'
import type { Faults } from './tally.ts'

export interface ClientInit {
  readonly port: number
  /** Process ids. */
  readonly server: number
  readonly runner: number
  /** Bytes of the data of an event. */
  readonly size: number
  /**
   * It has a separate core and never sleeps in a measured stretch. To wake a sleeping process is work of the kernel
   * that would count as the server's, and a server with remote clients does not have it.
   */
  readonly awake: boolean
}

export interface Connected {
  readonly connected: number
  readonly usage: Usage
}

export interface Stretch extends Outcome {
  readonly usage: Usage
  /** In all, since the client was made. */
  readonly faults: Faults
  /** Subscribers that the server has closed. */
  readonly closed: number
}

export interface Latency extends Stretch {
  /** Milliseconds from the write of the POST to the read of the event, by per cent of the deliveries. */
  readonly p50: number
  readonly p90: number
  readonly p99: number
}

export interface SlowStretch extends Stretch {
  readonly peakKiB: number
}

/** What comes before the figures: the server's code is compiled, and its buffers have grown. */
interface Warm {
  readonly warmMs: number
}

interface Storm {
  readonly lastEventId: string
  readonly missed: number
  readonly clients: number
  readonly times: number
}

/** The other side of every scenario. */
export class LoadClient {
  readonly #init: ClientInit
  readonly #meter: Meter
  readonly #crowd: Crowd
  #slow: Socket[] = []

  constructor(init: ClientInit) {
    this.#init = init
    this.#meter = new Meter(init.server, init.runner)
    this.#crowd = new Crowd(init.port, init.size, init.awake)
  }

  /** Adds subscribers, evenly to all channels, until there are `count`; fewer when the time is over. */
  async connect(count: number, channels = 1, deadlineMs = 60_000): Promise<Connected> {
    this.#meter.reset()
    await this.#crowd.fill(count, channels, deadlineMs)
    return { connected: this.#crowd.size, usage: this.#meter.usage() }
  }

  /** Adds streams that are never read. */
  connectSlow(count: number): void {
    for (let i = 0; i < count; i++) this.#slow.push(neverReading(this.#init.port, 'c0'))
  }

  async disconnect(): Promise<void> {
    for (const socket of this.#slow) socket.destroy()
    this.#slow = []
    await this.#empty()
  }

  /** Publishes by POST with `window` events in flight. */
  async post({ window, warmMs, ...limit }: Limit & Warm & { window: number }): Promise<Stretch> {
    const { port, size } = this.#init
    return this.#measure(new Posts(this.#crowd, port, size, window), warmMs, limit)
  }

  /** Lets the server publish `n` events with each command, `perTurn` in one turn of its loop. */
  async command({ n, perTurn, warmMs, ...limit }: Limit & Warm & { n: number; perTurn: number }): Promise<Stretch> {
    const { port, size } = this.#init
    return this.#measure(new Commands(this.#crowd, port, size, n, perTurn), warmMs, limit)
  }

  /** Publishes by POST at a fixed rate, and takes the time of every delivery. */
  async paced({ perSecond, warmMs, ...limit }: Limit & Warm & { perSecond: number }): Promise<Latency> {
    const { port, size } = this.#init
    const latencies: number[] = []
    const source = new PacedPosts(this.#crowd, port, size, perSecond)
    const stretch = await this.#measure(source, warmMs, limit, () => {
      this.#crowd.board.latencies = latencies
    })
    this.#crowd.board.latencies = undefined
    const sorted = Float64Array.from(latencies).sort()
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
    return { ...stretch, p50: at(0.5), p90: at(0.9), p99: at(0.99) }
  }

  /** Like `post`, and samples the memory of the server during it. */
  async postToSlow(options: Limit & Warm & { window: number }): Promise<SlowStretch> {
    let peakKiB = 0
    const look = () => {
      peakKiB = Math.max(peakKiB, residentKiB(this.#init.server))
    }
    const timer = setInterval(look, 200)
    const stretch = await this.post(options)
    clearInterval(timer)
    look()
    return { ...stretch, peakKiB }
  }

  /** Publishes an event, and `missed` after it. Returns the ID of the first. */
  async preparePast(missed: number): Promise<string> {
    const crowd = this.#crowd
    const { port, size } = this.#init
    const first = crowd.next
    const text: string[] = []
    await crowd.fill(1, 1, 10_000)
    crowd.spy((bytes) => text.push(bytes.toString('latin1')))
    const posts = new Posts(crowd, port, size, 1)
    await drive(crowd, posts, { ms: 30_000, events: missed + 1 })
    posts.close()
    await this.#empty()
    return idBefore(payload(first, MARK_BYTES), text.join(''))
  }

  /** `clients` reconnect with this ID, `missed` events behind, and leave when they have received all of them. */
  async storm({ lastEventId, missed, clients, times }: Storm): Promise<Stretch> {
    const crowd = this.#crowd
    const before = crowd.board.delivered
    const usages: Usage[] = []
    let [stalled, closed] = [false, 0]
    for (let i = 0; i < times && !stalled; i++) {
      this.#meter.reset()
      crowd.expectAgain(missed, clients)
      await crowd.resume(clients, lastEventId, crowd.next - missed, 60_000)
      stalled = !(await delivered(crowd))
      usages.push(this.#meter.usage())
      await settle(crowd)
      closed += crowd.broken
      await this.#empty()
    }
    const deliveries = crowd.board.delivered - before
    return {
      published: 0,
      deliveries,
      refused: 0,
      stalled,
      closed,
      usage: sum(usages),
      faults: { ...crowd.board.faults },
    }
  }

  async #empty(): Promise<void> {
    this.#crowd.leave()
    // The server has noticed before anything else is measured.
    await sleep(300)
  }

  async #measure(source: Source, warmMs: number, limit: Limit, begin = () => {}): Promise<Stretch> {
    const crowd = this.#crowd
    try {
      crowd.board.ordered = source.ordered
      if (warmMs > 0) await drive(crowd, source, { ms: warmMs })
      begin()
      this.#meter.reset()
      const outcome = await drive(crowd, source, limit)
      const usage = this.#meter.usage()
      await settle(crowd)
      return { ...outcome, usage, faults: { ...crowd.board.faults }, closed: crowd.broken }
    } finally {
      source.close()
    }
  }
}

/** The ID in the last `id` line before a mark. */
function idBefore(mark: string, text: string): string {
  const before = text.slice(0, text.indexOf(mark))
  return before.slice(before.lastIndexOf('\nid: ') + '\nid: '.length).split(/\r?\n/)[0]!
}
