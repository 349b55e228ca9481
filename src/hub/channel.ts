import type { Loss, Selector } from '../broker/broker.ts'
import type { StoredEvent } from '../broker/stored-event.ts'
import { isPattern, PatternTree } from '../channel-name.ts'
import type { Cursor } from '../protocol/cursor.ts'
import type { FrameForm } from '../protocol/frame.ts'
import type { Guard } from './guard.ts'
import type { Gap } from './notice.ts'
import type { Outlet } from './subscriber.ts'

/** A live subscription as the fan-out sees it. */
export interface LiveSubscription {
  readonly form: FrameForm
  /** Its place in the row of its selector, so that leaving costs nothing. */
  place: number
  /** Decides on each channel that a pattern of it stands for. Absent = it receives all that it asked for. */
  readonly guard: Guard | undefined
  /** Where its events go. */
  readonly outlet: Outlet
  /** Whether its peer is so far behind that it must not be written to now. */
  isBehind(): boolean
  /** Ends its being live, because its peer is behind. */
  fallBehind(): void
  /** Ends its being live: it is complete only up to `position`, and catches up from there. */
  catchUpFrom(position: Cursor): void
  /** A gap was written to it. */
  told(gap: Gap): void
}

/** The live subscriptions of one selector and form, and beside them, place by place, what a fan-out touches of each. */
export class Row {
  readonly members: LiveSubscription[] = []
  readonly outlets: Outlet[] = []

  enter(subscription: LiveSubscription): void {
    subscription.place = this.members.length
    this.members.push(subscription)
    this.outlets.push(subscription.outlet)
  }

  /** The last one takes the place that becomes free. */
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

/** Somebody in this process who waits for the next event; `undefined` when there will be none. */
export type Wake = (previous: Cursor | undefined) => void

/**
 * A set of channels and patterns that somebody has subscribed to. Everyone with the same set shares one object: it is
 * the unit of fan-out, and what brokers count.
 */
export class ChannelSelector implements Selector {
  readonly key: string
  readonly names: readonly string[]
  readonly channels: readonly string[]
  readonly patterns: readonly string[]
  readonly #exact: ReadonlySet<string>
  /** The patterns; undefined where there are none. */
  readonly #tree: PatternTree<true> | undefined
  /** How many hold it: subscriptions in any state and readers in process. It goes with the last. */
  holders = 0
  /** Subscriptions that have written their first block, live or catching up. */
  subscriptions = 0
  /** Those of them for which each channel of a pattern is decided on its own. */
  readonly restricted = new Set<LiveSubscription>()
  /** Live subscriptions that hear all of it, by form. Their position is the hub's own, so being live costs nothing. */
  readonly rows: Record<FrameForm, Row> = { plain: new Row(), envelope: new Row() }
  /** Live subscriptions for which each channel of a pattern is decided by itself. */
  readonly guarded = new Set<LiveSubscription>()
  readonly waiting = new Set<Wake>()
  /** Its part of the batch that is being fanned out; empty at all other times. */
  readonly hits: (StoredEvent | Loss)[] = []

  constructor(key: string, names: readonly string[]) {
    this.key = key
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

  /** Whether the channel was asked for by its own name. */
  includes(channel: string): boolean {
    return this.#exact.has(channel)
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

/** The selectors in use, by what they contain and by the channels they match. */
export class ChannelDirectory {
  readonly #selectors = new Map<string, ChannelSelector>()
  readonly #byChannel = new Map<string, Set<ChannelSelector>>()
  readonly #byPattern = new PatternTree<Set<ChannelSelector>>()
  #patterns = 0

  /** The selector of these names, each once. To be given back with `release`. */
  acquire(names: readonly string[]): ChannelSelector {
    const key = [...names].sort().join(' ')
    let selector = this.#selectors.get(key)
    if (selector === undefined) {
      selector = new ChannelSelector(key, names)
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

  /** Calls `visit` with every selector that matches; with one that matches by two of its patterns, twice. */
  match(channel: string, visit: (selector: ChannelSelector) => void): void {
    const exact = this.#byChannel.get(channel)
    if (exact !== undefined) for (const selector of exact) visit(selector)
    if (this.#patterns === 0) return
    this.#byPattern.match(channel, (selectors) => {
      for (const selector of selectors) visit(selector)
    })
  }

  /** How many channels and patterns somebody has subscribed to by name. */
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
