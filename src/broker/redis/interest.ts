import { PatternTree } from '../../channel-name.ts'
import type { Selector } from '../broker.ts'
import { LinkEnded } from './failure.ts'
import type { Link } from './link.ts'

/** The number of channels in one SUBSCRIBE: 10,000 would block the server for about 10 ms. */
const AT_ONCE = 1_000
/** An event is published on its name and on up to this number of its first tokens. */
const MAX_TOKENS = 3

/** The Pub/Sub channels of a selector: one for each name, and one for the literal prefix of each pattern. */
function* channelsOf({ channels, patterns }: Pick<Selector, 'channels' | 'patterns'>): Generator<string> {
  for (const name of channels) yield `e:${name}`
  for (const pattern of patterns) yield `w:${beginningOf(pattern)}`
}

function beginningOf(pattern: string): string {
  const tokens = pattern.split('.')
  const wild = tokens.findIndex((token) => token === '*' || token === '>')
  return tokens.slice(0, Math.min(wild, MAX_TOKENS)).join('.')
}

/**
 * The channels that this node listens to, counted over all selectors, and which of them the server has confirmed. One
 * command is in progress at a time: libraries lose track of a channel that is left and joined again while they wait.
 */
export class Interest {
  readonly #prefix: string
  readonly #counts = new Map<string, number>()
  readonly #names = new Map<string, number>()
  readonly #patterns = new PatternTree<number>()
  readonly #patternCounts = new Map<string, number>()
  /** Called when more channels are confirmed. */
  readonly #changed: () => void
  /** Called when the node no longer listens to a name or prefix. */
  readonly #left: (channel: string) => void
  #confirmed = new Set<string>()
  #toJoin = new Set<string>()
  #toLeave = new Set<string>()
  #link: Link | undefined
  #busy = false

  constructor(prefix: string, on: { changed(): void; left(channel: string): void }) {
    this.#prefix = prefix
    this.#changed = on.changed
    this.#left = on.left
  }

  add(selector: Selector): void {
    count(this.#names, selector.channels, 1)
    for (const pattern of count(this.#patternCounts, selector.patterns, 1)) this.#patterns.set(pattern, 1)
    for (const channel of count(this.#counts, channelsOf(selector), 1)) {
      this.#toLeave.delete(channel)
      if (!this.#confirmed.has(channel)) this.#toJoin.add(channel)
    }
    this.#next()
  }

  remove(selector: Selector): void {
    count(this.#names, selector.channels, -1)
    for (const pattern of count(this.#patternCounts, selector.patterns, -1)) this.#patterns.delete(pattern)
    for (const channel of count(this.#counts, channelsOf(selector), -1)) {
      this.#toJoin.delete(channel)
      this.#toLeave.add(channel)
    }
    this.#next()
  }

  /** Whether the server delivers all events of the selector. */
  isConfirmed(selector: Selector): boolean {
    for (const channel of channelsOf(selector)) if (!this.#confirmed.has(channel)) return false
    return true
  }

  /** All wanted channels, as one selector. */
  get all(): Selector {
    return {
      channels: [...this.#names.keys()],
      patterns: [...this.#patternCounts.keys()],
      matches: (channel) => this.#names.has(channel) || this.#patterns.has(channel),
    }
  }

  /** Listens to everything on a new link. Resolves when the channels that were wanted at the start are confirmed. */
  async join(link: Link): Promise<void> {
    this.#link = link
    this.#confirmed = new Set()
    this.#toLeave = new Set()
    this.#toJoin = new Set(this.#counts.keys())
    this.#busy = true
    try {
      while (this.#toJoin.size > 0) await this.#step(link)
    } finally {
      if (this.#link === link) this.#busy = false
    }
    this.#next()
  }

  leave(): void {
    this.#link = undefined
    this.#confirmed = new Set()
  }

  #next(): void {
    const link = this.#link
    if (link === undefined || this.#busy || this.#toJoin.size + this.#toLeave.size === 0) return
    this.#busy = true
    this.#step(link).then(
      () => {
        if (this.#link !== link) return
        this.#busy = false
        this.#changed()
        this.#next()
      },
      (error) => {
        // A refused channel would leave its subscribers without events: the link ends, with the reason.
        if (!(error instanceof LinkEnded)) link.end(error)
      },
    )
  }

  async #step(link: Link): Promise<void> {
    const leaving = take(this.#toLeave)
    const joining = take(this.#toJoin)
    const full = (channel: string) => this.#prefix + channel
    if (leaving.length > 0) {
      for (const channel of leaving) {
        this.#confirmed.delete(channel)
        this.#left(channel)
      }
      await link.unsubscribe(leaving.map(full))
    }
    if (joining.length > 0) {
      await link.subscribe(joining.map(full))
      if (this.#link === link) for (const channel of joining) this.#confirmed.add(channel)
    }
  }
}

function take(channels: Set<string>): string[] {
  const some: string[] = []
  for (const channel of channels) {
    if (some.length === AT_ONCE) break
    some.push(channel)
    channels.delete(channel)
  }
  return some
}

/** Counts, and returns the channels that are new, or no longer needed. */
function count(counts: Map<string, number>, names: Iterable<string>, change: 1 | -1): string[] {
  const turned: string[] = []
  for (const name of names) {
    const before = counts.get(name) ?? 0
    const after = before + change
    if (after === 0) counts.delete(name)
    else counts.set(name, after)
    if (before === 0 || after === 0) turned.push(name)
  }
  return turned
}
