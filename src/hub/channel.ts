import type { HandedOver, Selector } from '../broker/broker.ts'
import { isPattern, overlaps, PatternTree } from '../channel-name.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { FrameForm } from '../protocol/frame.ts'
import type { Guard } from './guard.ts'
import type { Gap } from './notice.ts'
import type { Outlet } from './subscriber.ts'

/** The part of a live subscription that the fan-out uses. */
export interface LiveSubscription {
  readonly form: FrameForm
  /** Its place in the row of its selector, so that leaving costs nothing. */
  place: number
  /** Decides on each channel that a pattern matches. Absent: it receives all its channels. */
  readonly guard: Guard | undefined
  /** The target of its events. */
  readonly outlet: Outlet
  /** Whether its peer lags so far that it must not be written to now. */
  isBehind(): boolean
  /** It is no longer live, because its peer lags. */
  fallBehind(): void
  /** It is no longer live: it is complete only up to `position`, and catches up from there. */
  catchUpFrom(position: Cursor): void
  /** A gap was written to it. */
  told(gap: Gap): void
  /** Asks for a decision on a channel whose ephemeral event it did not receive: it may receive the next one. */
  askFor(channel: string): void
}

/**
 * The live subscriptions of one selector and form, and in a second array, at the same places, the objects that a
 * fan-out touches.
 */
export class Row {
  readonly members: LiveSubscription[] = []
  readonly outlets: Outlet[] = []

  enter(subscription: LiveSubscription): void {
    subscription.place = this.members.length
    this.members.push(subscription)
    this.outlets.push(subscription.outlet)
  }

  /** The last one moves to the free place. */
  leave(subscription: LiveSubscription): void {
    const { place } = subscription
    if (this.members[place] !== subscription) return
    const last = this.members.pop()!
    const outlet = this.outlets.pop()!
    if (last === subscription) return
    this.members[place] = last
    this.outlets[place] = outlet
    last.place = place
  }
}

/**
 * Wakes a caller in this process that waits for the next event. `previous`: the position before the batch; undefined when
 * there will be no event. `hits`: the part of the batch, if it has ephemeral events, which no read has.
 */
export type Wake = (previous: Cursor | undefined, hits?: readonly HandedOver[]) => void

/**
 * A set of channels and patterns with at least one subscriber. Subscribers with the same set share one object: it is
 * the unit of fan-out, and brokers count subscriptions by it.
 */
export class ChannelSelector implements Selector {
  readonly key: string
  readonly names: readonly string[]
  readonly channels: readonly string[]
  readonly patterns: readonly string[]
  readonly #exact: ReadonlySet<string>
  /** The patterns; undefined without any. */
  readonly #tree: PatternTree<true> | undefined
  /** The number of its holders: subscriptions in any state, and readers. The last one removes it. */
  holders = 0
  /** Subscriptions that have written their first block, live or catching up. */
  subscriptions = 0
  /** The subscriptions among them for which each channel of a pattern is decided separately. */
  readonly restricted = new Set<LiveSubscription>()
  /**
   * Live subscriptions that receive all its channels, by form. Their position is the hub's own, so being live costs
   * nothing.
   */
  readonly rows: Record<FrameForm, Row> = { plain: new Row(), envelope: new Row() }
  /** Live subscriptions for which each channel of a pattern is decided separately. */
  readonly guarded = new Set<LiveSubscription>()
  readonly waiting = new Set<Wake>()
  /** Its part of the batch that is being fanned out; empty at all other times. */
  readonly hits: HandedOver[] = []

  /** Whether a channel of it has a snapshot function: a loss in the middle of the stream makes the snapshot due. */
  readonly hasState: boolean

  constructor(key: string, names: readonly string[], hasState: boolean) {
    this.key = key
    this.hasState = hasState
    this.names = names
    this.channels = names.filter((name) => !isPattern(name))
    this.patterns = names.filter(isPattern)
    this.#exact = new Set(this.channels)
    if (this.patterns.length > 0) this.#tree = new PatternTree()
    for (const pattern of this.patterns) this.#tree!.set(pattern, true)
  }

  matches(channel: string): boolean {
    return this.#exact.has(channel) || this.#tree?.has(channel) === true
  }

  /** Whether the selector has the channel by its own name. */
  includes(channel: string): boolean {
    return this.#exact.has(channel)
  }

  /** Counts a subscription that has written its first block. */
  count(subscription: LiveSubscription, change: 1 | -1): void {
    this.subscriptions += change
    if (change === -1) this.restricted.delete(subscription)
    else if (subscription.guard !== undefined) this.restricted.add(subscription)
  }

  enter(subscription: LiveSubscription): void {
    if (subscription.guard !== undefined) {
      this.guarded.add(subscription)
      return
    }
    this.rows[subscription.form].enter(subscription)
  }

  leave(subscription: LiveSubscription): void {
    if (this.guarded.delete(subscription)) return
    this.rows[subscription.form].leave(subscription)
  }
}

/** The selectors in use, by their names and by the channels that they match. */
export class ChannelDirectory {
  readonly #hasState: (name: string) => boolean
  readonly #selectors = new Map<string, ChannelSelector>()
  readonly #byChannel = new Map<string, Set<ChannelSelector>>()
  readonly #byPattern = new PatternTree<Set<ChannelSelector>>()
  #patterns = 0

  constructor(hasState: (name: string) => boolean = () => false) {
    this.#hasState = hasState
  }

  /** The selector of these names, without duplicates. Return it with `release`. */
  acquire(names: readonly string[]): ChannelSelector {
    const key = [...names].sort().join(' ')
    let selector = this.#selectors.get(key)
    if (selector === undefined) {
      selector = new ChannelSelector(key, names, names.some(this.#hasState))
      this.#selectors.set(key, selector)
      for (const name of names) this.#enter(name, selector)
    }
    selector.holders++
    return selector
  }

  release(selector: ChannelSelector): void {
    if (--selector.holders > 0) return
    this.#selectors.delete(selector.key)
    for (const name of selector.names) this.#leave(name, selector)
  }

  /** Calls `visit` with every selector that matches; twice for a selector with two matching patterns. */
  match(channel: string, visit: (selector: ChannelSelector) => void): void {
    const exact = this.#byChannel.get(channel)
    if (exact !== undefined) for (const selector of exact) visit(selector)
    if (this.#patterns === 0) return
    this.#byPattern.match(channel, (selectors) => {
      for (const selector of selectors) visit(selector)
    })
  }

  /** Whether a selector in use has channels of this name or pattern. */
  overlaps(name: string): boolean {
    return [...this.#selectors.values()].some((selector) => selector.names.some((one) => overlaps(one, name)))
  }

  /** The number of different channels and patterns with a subscriber. */
  get size(): number {
    return this.#byChannel.size + this.#patterns
  }

  #enter(name: string, selector: ChannelSelector): void {
    let selectors = isPattern(name) ? this.#byPattern.get(name) : this.#byChannel.get(name)
    if (selectors === undefined) {
      selectors = new Set()
      if (isPattern(name)) {
        this.#byPattern.set(name, selectors)
        this.#patterns++
      } else {
        this.#byChannel.set(name, selectors)
      }
    }
    selectors.add(selector)
  }

  #leave(name: string, selector: ChannelSelector): void {
    const selectors = isPattern(name) ? this.#byPattern.get(name) : this.#byChannel.get(name)
    selectors?.delete(selector)
    if (selectors?.size !== 0) return
    if (isPattern(name)) {
      this.#byPattern.delete(name)
      this.#patterns--
    } else {
      this.#byChannel.delete(name)
    }
  }
}
