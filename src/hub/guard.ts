import { isLoss, type Page } from '../broker/broker.ts'
import { isPattern } from '../channel-name.ts'
import type { Clock } from '../clock.ts'
import { withinTime } from './time-limit.ts'

/** What a hook says of one channel. */
export interface Decision {
  readonly allowed: boolean
  /** When the permission ends, in milliseconds of the wall clock; undefined = never. */
  readonly until?: number | undefined
}

/** Decides whether a subscriber may hear one channel that a pattern of it stands for. */
export type Authorize = (channel: string) => Promise<Decision>

/** The channels of a subscription, without those that only a pattern of it stands for. */
export interface AskedChannels {
  includes(channel: string): boolean
}

const NONE: AskedChannels = { includes: () => false }

const MAX_DECISIONS = 1_000
/** How long a hook may take. */
export const HOOK_TIME_LIMIT_MS = 10_000
/** Hooks that are asked at a time. */
const MAX_ASKED = 16

/** The decisions of one subscription on the channels of its patterns, the least recently used forgotten first. */
export class Guard {
  readonly #authorize: Authorize
  readonly #clock: Clock
  readonly #decisions = new Map<string, boolean>()
  readonly #onAllowed: (decision: Decision) => void
  /** The channels of the subscription now. */
  asked: AskedChannels = NONE

  /** `onAllowed` receives each permission, because it may have an end. */
  constructor(authorize: Authorize, clock: Clock, onAllowed: (decision: Decision) => void) {
    this.#authorize = authorize
    this.#clock = clock
    this.#onAllowed = onAllowed
  }

  /** Whether the subscription may receive this channel; undefined until the hook has decided. */
  admits(channel: string): boolean | undefined {
    // A channel that was asked for by its own name was decided with the request; a pattern is reported as asked for.
    if (isPattern(channel) || this.asked.includes(channel)) return true
    const decision = this.#decisions.get(channel)
    if (decision !== undefined) {
      this.#decisions.delete(channel)
      this.#decisions.set(channel, decision)
    }
    return decision
  }

  /** Asks for each of the channels that is undecided. Rejects when the hook throws or takes over 10 s: never skipped. */
  async decide(channels: Iterable<string>): Promise<void> {
    const undecided = new Set([...channels].filter((channel) => !this.#decisions.has(channel))).values()
    const askInTurn = async () => {
      for (const channel of undecided) await this.#decide(channel)
    }
    await Promise.all(Array.from({ length: MAX_ASKED }, askInTurn))
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

/** Every channel, or pattern, that a page speaks of. */
export function channelsOf(page: Page): readonly string[] {
  return page.items.flatMap((item) => (isLoss(item) ? item.channels : item.channel))
}

/** A page without the channels that are not admitted: neither their events nor their losses are anybody else's business. */
export function sieve(page: Page, admits: (channel: string) => boolean): Page {
  if (channelsOf(page).every(admits)) return page
  const items = page.items.flatMap((item) => {
    if (!isLoss(item)) return admits(item.channel) ? item : []
    const channels = item.channels.filter(admits)
    return channels.length === 0 ? [] : { ...item, channels }
  })
  return { ...page, items }
}
