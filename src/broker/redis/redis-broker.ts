import { randomBytes } from 'node:crypto'
import { SseError } from '../../errors.ts'
import type { Cursor } from '../../protocol/cursor.ts'
import type { Broker, BrokerListener, Group, Outcome, Page, PageLimit, Selector } from '../broker.ts'
import { Appends } from './appends.ts'
import { closed, LinkEnded, unavailable } from './failure.ts'
import { Feed } from './feed.ts'
import { Ingest } from './ingest.ts'
import { Interest } from './interest.ts'
import type { Link } from './link.ts'
import { Links } from './links.ts'
import { LogTime } from './log-time.ts'
import type { RedisBrokerSettings } from './options.ts'
import { LogReader } from './reader.ts'
import { trim } from './scripts.ts'
import { Seen } from './seen.ts'
import { examine } from './server.ts'
import { Session } from './session.ts'
import { readMissed } from './sync.ts'
import { SubscribeWaits } from './waits.ts'

/** The state of a broker, for monitoring. */
export interface RedisBrokerStats {
  /** `live`: new events arrive at once. `syncing`: missed events are being read. `down`: no connection. */
  readonly state: 'down' | 'syncing' | 'live'
  /** Connections that were opened. */
  readonly links: number
  /** The number of times that missed events were read, including the first. */
  readonly syncs: number
  /** The number of syncs that could not read every event: each subscription then continued from the log. */
  readonly suspects: number
  /**
   * Events that did not arrive although no connection broke, each reported as a gap. Any value except 0 is a bug to
   * report.
   */
  readonly holes: number
  /** Batches that were sent again because a connection had ended before the answer. */
  readonly repeated: number
  /** Entries of the ingest stream that were no events, and that this node set aside. */
  readonly malformed: number
  /** The duration of the last request, in milliseconds. */
  readonly roundTripMs: number
}

/** A broker whose log is on a Redis or Valkey server, for any number of nodes. */
export interface RedisBroker extends Broker {
  stats(): RedisBrokerStats
}

/** The node's side of a log that many nodes share. */
export class FleetBroker implements RedisBroker {
  readonly #settings: RedisBrokerSettings
  readonly #node = randomBytes(9).toString('base64url')
  readonly #time: LogTime
  readonly #seen = new Seen()
  readonly #appends: Appends
  readonly #interest: Interest
  readonly #waits: SubscribeWaits
  readonly #links: Links
  readonly #ingest: Ingest
  #feed: Feed | undefined
  readonly #selectors = new Map<Selector, number>()
  #starting: Promise<Cursor> | undefined
  #closing: Promise<void> | undefined
  #listener: BrokerListener | undefined
  #isSyncing = false
  #hasWarned = false
  #syncs = 0
  #roundTripMs = 0

  constructor(settings: RedisBrokerSettings) {
    this.#settings = settings
    this.#time = new LogTime(settings.clock)
    this.#appends = new Appends(settings, this.#node, this.#seen)
    this.#interest = new Interest(settings.prefix, {
      changed: () => this.#waits.look(),
      left: (channel) => this.#feed?.left(channel),
    })
    this.#waits = new SubscribeWaits((selector) => this.#feed?.state === 'live' && this.#interest.isConfirmed(selector))
    this.#links = new Links(settings, {
      greet: (link) => this.#greet(link),
      up: (session) => this.#appends.up(session),
      join: (session) => this.#join(session),
      message: (channel, text) => this.#feed?.message(channel.slice(settings.prefix.length), text),
      probe: (session) => this.#probe(session),
      down: (reason) => {
        this.#appends.down(reason)
        this.#feed?.down()
        this.#interest.leave()
      },
    })
    this.#ingest = new Ingest(settings, this.#appends, this.#links)
  }

  async start(listener: BrokerListener): Promise<Cursor> {
    this.#assertOpen()
    if (this.#starting !== undefined)
      throw new TypeError('A broker serves one hub: make another broker for another hub.')
    this.#listener = {
      events: (batch, top) => {
        this.#seen.addOld(top)
        listener.events(batch, top)
      },
      suspect: (top) => listener.suspect(top),
    }
    this.#starting = this.#start()
    return this.#starting
  }

  async publish(groups: readonly Group[]): Promise<readonly Outcome[]> {
    this.#assertStarted()
    return this.#appends.append(groups.map((group) => ({ group })))
  }

  async subscribe(selector: Selector): Promise<void> {
    this.#assertStarted()
    this.#selectors.set(selector, (this.#selectors.get(selector) ?? 0) + 1)
    this.#interest.add(selector)
    try {
      await this.#waits.until(selector)
    } catch (error) {
      this.unsubscribe(selector)
      throw error
    }
  }

  unsubscribe(selector: Selector): void {
    const count = this.#selectors.get(selector)
    if (count === undefined) return
    if (count === 1) this.#selectors.delete(selector)
    else this.#selectors.set(selector, count - 1)
    this.#interest.remove(selector)
  }

  async read(after: Cursor | undefined, selector: Selector, limit: PageLimit): Promise<Page> {
    this.#assertStarted()
    return this.#links.use(async (session) => {
      const reader = new LogReader(session, this.#settings)
      return after === undefined ? reader.empty() : reader.read(after, selector, limit)
    })
  }

  async latest(count: number, selector: Selector, limit: PageLimit): Promise<Page> {
    this.#assertStarted()
    return this.#links.use((session) => new LogReader(session, this.#settings).latest(count, selector, limit))
  }

  stats(): RedisBrokerStats {
    return {
      state: this.#feed?.state ?? 'down',
      links: this.#links.count,
      syncs: this.#syncs,
      suspects: this.#feed?.suspects ?? 0,
      holes: this.#feed?.holes ?? 0,
      repeated: this.#appends.repeated,
      malformed: this.#ingest.malformed,
      roundTripMs: this.#roundTripMs,
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #start(): Promise<Cursor> {
    try {
      await this.#links.start()
      if (this.#settings.ingest) void this.#ingest.run()
      return this.#feed!.received
    } catch (error) {
      this.#links.close()
      this.#appends.down(error)
      throw unavailable(error)
    }
  }

  async #close(): Promise<void> {
    this.#waits.close()
    this.#ingest.close()
    await this.#starting?.catch(() => {})
    await this.#appends.close()
    this.#feed?.close()
    // The data of this node would expire on its own, in ten minutes.
    const { session } = this.#links
    await session?.link.call(['HDEL', `${this.#settings.prefix}n`, this.#node]).catch(() => {})
    this.#links.close()
  }

  async #greet(link: Link): Promise<Session> {
    const { persists, time } = await examine(link, this.#settings)
    if (this.#feed === undefined) this.#time.learn(time)
    if (persists === false && !this.#hasWarned) {
      this.#hasWarned = true
      const detail =
        'Redis has no append-only file: a restart loses the events since its last snapshot, which is reported as a gap.'
      this.#settings.onError(new SseError('ERR_SSE_BROKER_UNAVAILABLE', detail))
    }
    return new Session(link, this.#settings, { node: this.#node, time: this.#time, seen: this.#seen })
  }

  /** First the own channel, then all wanted channels: the node is not live before the last one is confirmed. */
  async #join(session: Session): Promise<void> {
    const own = `h:${this.#node}`
    await session.link.subscribe([this.#settings.prefix + own])
    if (this.#feed === undefined) {
      const top = await new LogReader(session, this.#settings).end()
      this.#feed = new Feed(this.#listener!, own, top, () => void this.#resync())
    }
    this.#feed.hold()
    await this.#interest.join(session.link)
    await this.#sync(session)
  }

  /** A message of another life of the log arrived. */
  async #resync(): Promise<void> {
    const { session } = this.#links
    if (this.#isSyncing || session === undefined) return
    try {
      await this.#sync(session)
    } catch (error) {
      if (!(error instanceof LinkEnded)) session.link.end(error)
    }
  }

  async #sync(session: Session): Promise<void> {
    const feed = this.#feed!
    const reader = new LogReader(session, this.#settings)
    this.#isSyncing = true
    try {
      do {
        feed.hold()
        const missed = await readMissed(session, reader, feed.received, this.#interest.all)
        if (session.link.isEnded) return
        this.#syncs++
        if (!feed.overflowed) feed.resume(missed)
      } while (feed.state !== 'live')
    } finally {
      this.#isSyncing = false
    }
    this.#waits.look()
  }

  async #probe(session: Session): Promise<void> {
    const since = performance.now()
    const names = await session.probe()
    this.#roundTripMs = performance.now() - since
    if (names.length === 0) return
    const { history } = this.#settings
    const limits = names.flatMap((name) => {
      const { maxAgeMs, maxEvents } = history.retentionOf(name)
      return [name, Number.isFinite(maxAgeMs) ? `${maxAgeMs}` : '', `${maxEvents}`]
    })
    await session.write(trim, [`${history.rememberMs}`, ...limits])
  }

  #assertOpen(): void {
    if (this.#closing !== undefined) throw closed()
  }

  #assertStarted(): void {
    this.#assertOpen()
    if (this.#starting === undefined) throw new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'The broker was not started.')
  }
}
