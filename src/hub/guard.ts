import { isLoss, type Page } from '../broker/broker.ts'
import { isPattern } from '../channel-name.ts'
import type { Clock } from '../clock.ts'
import { withinTime } from './time-limit.ts'

/** The verdict of a hook on one channel. */
export interface Decision {
  readonly allowed: boolean
  /** When the permission ends, in milliseconds of the wall clock; undefined = never. */
  readonly until?: number | undefined
}

/** Decides whether a subscriber may receive one channel that a pattern matches. */
export type Authorize = (channel: string) => Promise<Decision>

/** The channels of a subscription by name, without those that only a pattern matches. */
export interface AskedChannels {
  includes(channel: string): boolean
}

const NONE: AskedChannels = { includes: () => false }

const MAX_DECISIONS = 1_000
/** The time limit of a hook. */
export const HOOK_TIME_LIMIT_MS = 10_000
/** The number of hook calls at a time. */
const MAX_ASKED = 16

/** The decisions of one subscription on the channels of its patterns. The least recently used are forgotten first. */
export class Guard {
  readonly #authorize: Authorize
  readonly #clock: Clock
  readonly #decisions = new Map<string, boolean>()
  /** The channels that are asked for in the background. */
  readonly #asking = new Set<string>()
  readonly #onAllowed: (decision: Decision) => void
  /** The current channels of the subscription. */
  asked: AskedChannels = NONE

  /** `onAllowed` receives each permission, because it may have an end. */
  constructor(authorize: Authorize, clock: Clock, onAllowed: (decision: Decision) => void) {
    this.#authorize = authorize
    this.#clock = clock
    this.#onAllowed = onAllowed
  }

  /** Whether the subscription may receive this channel; undefined until the hook has decided. */
  admits(channel: string): boolean | undefined {
    // A channel with its own name was decided with the request; a pattern is reported under its own name.
    if (isPattern(channel) || this.asked.includes(channel)) return true
    const decision = this.#decisions.get(channel)
    if (decision !== undefined) {
      this.#decisions.delete(channel)
      this.#decisions.set(channel, decision)
    }
    return decision
  }

  /**
   * Asks for a decision on each undecided channel. Rejects if the hook throws or takes over 10 s: a channel is never
   * skipped.
   */
  async decide(channels: Iterable<string>): Promise<void> {
    const undecided = new Set([...channels].filter((channel) => !this.#decisions.has(channel))).values()
    const askInTurn = async () => {
      for (const channel of undecided) await this.#decide(channel)
    }
    await Promise.all(Array.from({ length: MAX_ASKED }, askInTurn))
  }

  /** Asks for one channel in the background. At most 16 at a time: a further one is asked for with its next event. */
  async ask(channel: string): Promise<void> {
    if (this.#asking.has(channel) || this.#asking.size >= MAX_ASKED) return
    this.#asking.add(channel)
    try {
      await this.decide([channel])
    } finally {
      this.#asking.delete(channel)
    }
  }

  async #decide(channel: string): Promise<void> {
    const late = () => new Error(`The subscribe hook took over ${HOOK_TIME_LIMIT_MS} ms for channel ${channel}.`)
    const decision = await withinTime(this.#clock, HOOK_TIME_LIMIT_MS, this.#authorize(channel), late)
    this.#decisions.set(channel, decision.allowed)
    if (decision.allowed) this.#onAllowed(decision)
    if (this.#decisions.size > MAX_DECISIONS) {
      const [oldest] = this.#decisions.keys()
      this.#decisions.delete(oldest!)
    }
  }
}

/** Every channel, or pattern, in a page. */
export function channelsOf(page: Page): readonly string[] {
  return page.items.flatMap((item) => (isLoss(item) ? item.channels : item.channel))
}

/** A page without the channels that are not admitted: the subscriber receives neither their events nor their losses. */
export function sieve(page: Page, admits: (channel: string) => boolean): Page {
  if (channelsOf(page).every(admits)) return page
  const items = page.items.flatMap((item) => {
    if (!isLoss(item)) return admits(item.channel) ? item : []
    const channels = item.channels.filter(admits)
    return channels.length === 0 ? [] : { ...item, channels }
  })
  return { ...page, items }
}
