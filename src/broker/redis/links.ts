import { closed, isElsewhere, isRefusal, LinkEnded, LogProblem, unavailable } from './failure.ts'
import { Link } from './link.ts'
import type { RedisBrokerSettings } from './options.ts'
import type { Session } from './session.ts'

/** The time that a call waits for a link. */
const PATIENCE_MS = 5_000
/** The shortest wait between links that fail. */
const MIN_BACK_OFF_MS = 50
const MAX_BACK_OFF_MS = 1_000
const PROBE_MS = 1_000
/** A server is given up after this time without an answer. */
const SILENCE_MS = 3_000

/** The methods that `Links` calls: `greet`, `up` and `join` in turn for each link, then `down`. */
export interface LinksHost {
  /** Makes a session of a link, or throws the problem of its server. */
  greet(link: Link): Promise<Session>
  /** The session can be used. */
  up(session: Session): void
  /** Listens to everything and reads the missed events. */
  join(session: Session): Promise<void>
  message(channel: string, text: string): void
  /** Once a second. */
  probe(session: Session): Promise<void>
  down(reason: unknown): void
}

/** One link after the other. */
export class Links {
  readonly #settings: RedisBrokerSettings
  readonly #host: LinksHost
  #session: Session | undefined
  #link: Link | undefined
  /** The last link that completed `join`. */
  #joined: Link | undefined
  #backOffMs = MIN_BACK_OFF_MS
  #timer: NodeJS.Timeout | undefined
  #waiting = new Set<(session: Session | undefined) => void>()
  #isClosed = false
  #reason: unknown
  /** The number of links that were opened. */
  count = 0

  constructor(settings: RedisBrokerSettings, host: LinksHost) {
    this.#settings = settings
    this.#host = host
  }

  get session(): Session | undefined {
    return this.#session
  }

  /** Opens the first link. It retries for a while if the server is unreachable, but not if the server does not fit. */
  async start(): Promise<void> {
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      try {
        return await this.#open()
      } catch (error) {
        const isFinal = error instanceof LogProblem || (isRefusal(error) && !isElsewhere(error))
        if (isFinal || this.#isClosed || performance.now() > until) throw error
        await new Promise((resolve) => setTimeout(resolve, this.#backOff()))
      }
    }
  }

  /** Sends a request to the server. A request without an answer from its link is repeated on the next one. */
  async use<T>(ask: (session: Session) => Promise<T>): Promise<T> {
    const until = performance.now() + PATIENCE_MS
    for (;;) {
      const session = this.#session ?? (await this.#next(until))
      try {
        return await ask(session)
      } catch (error) {
        if (isElsewhere(error)) session.link.end(error)
        else if (!(error instanceof LinkEnded)) throw unavailable(error)
      }
    }
  }

  close(): void {
    this.#isClosed = true
    clearTimeout(this.#timer)
    this.#link?.end(new Error('The broker is closed.'))
    for (const resolve of this.#waiting) resolve(undefined)
    this.#waiting.clear()
  }

  async #open(): Promise<void> {
    let link: Link | undefined
    try {
      link = await Link.open(this.#settings.connect, `${this.#settings.prefix}m`, {
        message: (channel, text) => this.#host.message(channel, text),
        ended: (link, error) => this.#ended(link, error),
      })
      if (this.#isClosed) throw new Error('The broker is closed.')
      this.#link = link
      const session = await this.#host.greet(link)
      await link.load()
      this.#session = session
      this.count++
      this.#host.up(session)
      for (const resolve of this.#waiting) resolve(session)
      this.#waiting.clear()
      void this.#watch(session)
      await this.#host.join(session)
      if (link.isEnded) throw new LinkEnded(this.#reason)
      this.#joined = link
      this.#backOffMs = MIN_BACK_OFF_MS
    } catch (error) {
      this.#reason = error
      link?.end(error)
      throw error
    }
  }

  /** Opens the next link after a while, and repeats until one is open. */
  #again(): void {
    if (this.#isClosed) return
    this.#timer = setTimeout(() => {
      this.#open().catch((error) => {
        if (this.#isClosed) return
        this.#settings.onError(unavailable(error))
        this.#again()
      })
    }, this.#backOff()).unref()
  }

  #backOff(): number {
    const ms = this.#backOffMs
    this.#backOffMs = Math.min(2 * ms, MAX_BACK_OFF_MS)
    // Spread, so that the nodes of a fleet do not reconnect together.
    return ms * (0.75 + Math.random() / 2)
  }

  /** The next session. Rejects with the problem if there is none in time. */
  #next(until: number): Promise<Session> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) return reject(closed())
      const settle = (session: Session | undefined) => {
        clearTimeout(timer)
        this.#waiting.delete(settle)
        if (session !== undefined) resolve(session)
        else reject(this.#isClosed ? closed() : unavailable(this.#reason))
      }
      const timer = setTimeout(settle, Math.max(0, until - performance.now()), undefined).unref()
      this.#waiting.add(settle)
    })
  }

  /** Checks every second that the server answers. */
  async #watch(session: Session): Promise<void> {
    const { link } = session
    while (!link.isEnded) {
      const limit = setTimeout(() => this.#silent(link, () => isAnswered), SILENCE_MS).unref()
      let isAnswered = false
      try {
        await this.#host.probe(session)
      } catch (error) {
        if (isElsewhere(error)) link.end(error)
        // The server answered. A refusal here also applies to publishes.
        else if (!(error instanceof LinkEnded)) this.#settings.onError(unavailable(error))
      }
      isAnswered = true
      clearTimeout(limit)
      await new Promise((resolve) => setTimeout(resolve, PROBE_MS).unref())
    }
  }

  /**
   * After a long turn the timer fires before the bytes that wait in the socket are read: the link gets two more turns.
   */
  #silent(link: Link, isAnswered: () => boolean): void {
    setImmediate(() =>
      setImmediate(() => {
        if (!isAnswered()) link.end(new Error(`Redis did not answer for ${SILENCE_MS} ms.`))
      }),
    )
  }

  #ended(link: Link, error: unknown): void {
    if (this.#link !== link) return
    const wasUp = this.#session !== undefined
    this.#link = undefined
    this.#session = undefined
    this.#reason = error
    if (wasUp) this.#host.down(error)
    if (this.#joined !== link || this.#isClosed) return
    this.#settings.onError(unavailable(error))
    this.#again()
  }
}
