import { isSseError } from '../../errors.ts'
import type { Appends } from './appends.ts'
import type { Appendix } from './batch.ts'
import { LinkEnded, unavailable } from './failure.ts'
import { eventOfEntry, Malformed } from './ingest-entry.ts'
import { Link } from './link.ts'
import type { Links } from './links.ts'
import type { RedisBrokerSettings } from './options.ts'
import { setAside } from './scripts.ts'

/** How many entries are taken at once. */
const AT_ONCE = 100
/** How long one question for new entries waits, and when the server is given up that does not answer it. */
const BLOCK_MS = 2_000
const SILENCE_MS = 5_000
/** After something went wrong. */
const PAUSE_MS = 250

type StreamEntry = readonly [id: string, fields: readonly string[]]

/**
 * Makes events of the entries that others add to the ingest stream. Every node does; the script that appends an event
 * deletes its entry in the same step, so each becomes one event however many nodes ask or die.
 */
export class Ingest {
  readonly #settings: RedisBrokerSettings
  readonly #appends: Appends
  readonly #links: Links
  readonly #key: string
  /** Waits for entries: the other one must not be blocked. */
  #link: Link | undefined
  #isClosed = false
  /** Entries that were no events, and were set aside. */
  malformed = 0

  constructor(settings: RedisBrokerSettings, appends: Appends, links: Links) {
    this.#settings = settings
    this.#appends = appends
    this.#links = links
    this.#key = `${settings.prefix}in`
  }

  async run(): Promise<void> {
    while (!this.#isClosed) {
      try {
        if (await this.#drain()) await this.#wait()
      } catch (error) {
        if (this.#isClosed) return
        if (!(error instanceof LinkEnded)) this.#settings.onError(unavailable(error))
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS).unref())
      }
    }
  }

  close(): void {
    this.#isClosed = true
    this.#link?.end(new Error('The broker is closed.'))
  }

  /** Resolves when there may be an entry. */
  async #wait(): Promise<void> {
    if (this.#link === undefined || this.#link.isEnded) {
      this.#link = await Link.open(this.#settings.connect, this.#key, { message: () => {}, ended: () => {} })
    }
    const link = this.#link
    if (this.#isClosed) return link.end(new Error('The broker is closed.'))
    const timer = setTimeout(() => link.end(new Error('Redis did not answer.')), SILENCE_MS).unref()
    try {
      await link.call(['XREAD', 'COUNT', '1', 'BLOCK', `${BLOCK_MS}`, 'STREAMS', this.#key, '0'])
    } finally {
      clearTimeout(timer)
    }
  }

  /** Takes the oldest entries. Resolves with whether there were none. */
  async #drain(): Promise<boolean> {
    const entries = await this.#links.use(
      async ({ link }) =>
        (await link.call(['XRANGE', this.#key, '-', '+', 'COUNT', `${AT_ONCE}`])) as readonly StreamEntry[],
    )
    const appendices: Appendix[] = []
    const taken: StreamEntry[] = []
    for (const entry of entries) {
      try {
        appendices.push({ group: [eventOfEntry(entry[1])], entry: entry[0] })
        taken.push(entry)
      } catch (error) {
        if (!(error instanceof Malformed)) throw error
        await this.#setAside(entry, error.message)
      }
    }
    if (appendices.length > 0) {
      const outcomes = await this.#appends.append(appendices)
      for (const [i, outcome] of outcomes.entries()) {
        if (!isSseError(outcome)) continue
        if (outcome.code !== 'ERR_SSE_IDEMPOTENCY_MISMATCH') throw outcome
        await this.#setAside(taken[i]!, outcome.detail)
      }
    }
    return entries.length === 0
  }

  async #setAside([id, fields]: StreamEntry, reason: string): Promise<void> {
    const done = await this.#links.use(({ link }) => link.run(setAside, [id, reason, ...fields]))
    if (done === 1) this.malformed++
  }
}
