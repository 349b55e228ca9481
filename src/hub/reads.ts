import { type Broker, isLoss, type Page, type PageLimit, type Selector } from '../broker/broker.ts'
import { type Cursor, formatCursor } from '../protocol/cursor.ts'
import { sieve } from './guard.ts'
import { Slots } from './slots.ts'

/** The maximum of a page: small enough for one write to a peer of unknown speed. */
export const PAGE: PageLimit = { events: 250, bytes: 65_536 }
/** The maximum of a `rewind`. */
export const REWIND: PageLimit = { events: 1_000, bytes: 1_048_576 }

const MAX_IN_FLIGHT = 16

interface Read {
  readonly page: Promise<Page | undefined>
  /** Whether any of the callers still wants it. */
  readonly wanted: (() => boolean)[]
}

/**
 * The reads of a hub: at most 16 at a time, and equal reads in progress are shared. A thousand clients that reconnect
 * with the same cursor cost one read.
 */
export class Reads {
  readonly #broker: Broker
  readonly #underWay = new WeakMap<Selector, Map<string, Read>>()
  readonly #slots = new Slots(MAX_IN_FLIGHT)

  constructor(broker: Broker) {
    this.#broker = broker
  }

  /** A page after `after`. Resolves with undefined if no caller wants it any longer. */
  read(
    after: Cursor | undefined,
    selector: Selector,
    limit: PageLimit,
    wanted: () => boolean,
  ): Promise<Page | undefined> {
    const key = `${after === undefined ? '' : formatCursor(after)} ${limit.events}`
    return this.#share(key, selector, wanted, () => this.#read(after, selector, limit))
  }

  /** A log may have forgotten channels, and cannot exclude these: an ephemeral channel has lost nothing. */
  async #read(after: Cursor | undefined, selector: Selector, limit: PageLimit): Promise<Page> {
    const page = await this.#broker.read(after, selector, limit)
    if (!page.items.some(isLoss)) return page
    return sieve(page, (name) => !this.#broker.isEphemeral?.(name))
  }

  /** The last `count` events of each channel. */
  latest(count: number, selector: Selector, limit: PageLimit, wanted: () => boolean): Promise<Page | undefined> {
    const key = `latest ${count} ${limit.events}`
    return this.#share(key, selector, wanted, () => this.#broker.latest(count, selector, limit))
  }

  #share(key: string, selector: Selector, wanted: () => boolean, read: () => Promise<Page>): Promise<Page | undefined> {
    let bySelector = this.#underWay.get(selector)
    if (bySelector === undefined) {
      bySelector = new Map()
      this.#underWay.set(selector, bySelector)
    }
    const shared = bySelector.get(key)
    if (shared !== undefined) {
      shared.wanted.push(wanted)
      return shared.page
    }
    const asked = [wanted]
    const page = this.#slots.run(async () => {
      try {
        // The await is for both cases: the entry below must be there before it is deleted.
        return await (asked.some((still) => still()) ? read() : undefined)
      } finally {
        // From here on the log may have grown beyond the page: a later caller needs a new read.
        bySelector.delete(key)
      }
    })
    bySelector.set(key, { page, wanted: asked })
    return page
  }
}
