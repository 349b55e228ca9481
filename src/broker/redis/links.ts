import { closed, isElsewhere, isRefusal, LinkEnded, LogProblem, unavailable } from './failure.ts'
import { Link } from './link.ts'
import type { RedisBrokerSettings } from './options.ts'
import type { Session } from './session.ts'

/** How long something waits for a link. */
const PATIENCE_MS = 5_000
/** Links that fail follow each other after so long. */
const MIN_BACK_OFF_MS = 50
const MAX_BACK_OFF_MS = 1_000
const PROBE_MS = 1_000
/** A server that does not answer for so long is given up. */
const SILENCE_MS = 3_000

/**
 * What links are for: `greet`, `up`, `join` in turn for each, then `down`.
 */
export interface LinksHost {
  /** Makes a session of a link, or throws what is wrong with its server. */
  greet(link: Link): Promise<Session>
  /** It can be used. */
  up(session: Session): void
  /** Listens to everything and reads what was missed. */
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
  /** The last one that was ready for everything. */
  #joined: Link | undefined
  #backOffMs = MIN_BACK_OFF_MS
  #timer: NodeJS.Timeout | undefined
  #waiting = new Set<(session: Session | undefined) => void>()
  #isClosed = false
  #reason: unknown
  /** How many were opened. */
  count = 0

  constructor(settings: RedisBrokerSettings, host: LinksHost) {
    this.#settings = settings
    this.#host = host
  }

  get session(): Session | undefined {
    return this.#session
  }

  /** Opens the first one. A server that cannot be reached is asked again for a while, one that does not fit is not. */
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

  /** Asks something of the server. What a link left unanswered is asked again on the next one. */
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

  /** Opens the next one after a while, and again until there is one. */
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
    // Spread, so that the nodes of a fleet do not come back all at once.
    return ms * (0.75 + Math.random() / 2)
  }

  /** The next session, or what is wrong when there is none in time. */
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

  /** Asks each second whether the server is there. */
  async #watch(session: Session): Promise<void> {
    const { link } = session
    while (!link.isEnded) {
      const limit = setTimeout(() => this.#silent(link, () => isAnswered), SILENCE_MS).unref()
      let isAnswered = false
      try {
        await this.#host.probe(session)
      } catch (error) {
        if (isElsewhere(error)) link.end(error)
        // It has answered. What it refuses, it refuses to those who publish as well.
        else if (!(error instanceof LinkEnded)) this.#settings.onError(unavailable(error))
      }
      isAnswered = true
      clearTimeout(limit)
      await new Promise((resolve) => setTimeout(resolve, PROBE_MS).unref())
    }
  }

  /** After a long turn the timer comes before what waits in the socket: it is given two more turns. */
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
