import { type BrokerListener, type HandedOver, isLoss, logged } from '../broker/broker.ts'
import { type Cursor, isAhead } from '../protocol/cursor.ts'
import { type FanOutResult, fanOut, placeLosses } from './fan-out.ts'
import type { ReaderHost } from './reader.ts'
import type { StreamSubscription } from './stream-subscription.ts'
import type { SubscriptionHost } from './subscription-host.ts'

/** The part of a hub that listens to its broker: each batch goes to the tail and to the live subscriptions. */
export class HandOver {
  readonly #host: SubscriptionHost<StreamSubscription> & ReaderHost
  readonly #subscriptions: Iterable<StreamSubscription>
  /** Complete subscriptions, each with a position that no batch has reached. */
  readonly #parked = new Map<StreamSubscription, Cursor>()
  /** A batch is being written: changes of the rows, and third-party code, wait in `#afterwards`. */
  #fanning = false
  #afterwards: (() => void)[] = []

  constructor(host: SubscriptionHost<StreamSubscription> & ReaderHost, subscriptions: Iterable<StreamSubscription>) {
    this.#host = host
    this.#subscriptions = subscriptions
  }

  /** The subscription waits until a batch reaches its position. */
  park(subscription: StreamSubscription, position: Cursor): void {
    this.#parked.set(subscription, position)
  }

  unpark(subscription: StreamSubscription): void {
    this.#parked.delete(subscription)
  }

  /** See SubscriptionHost. */
  betweenFanOuts(fn: () => void): void {
    if (this.#fanning) this.#afterwards.push(fn)
    else fn()
  }

  readonly listener: BrokerListener = {
    events: (batch, top) => this.#heard(top, (previous) => this.#events(batch, top, previous)),
    suspect: (top) => this.#heard(top, (previous) => this.#suspect(top, previous)),
  }

  /**
   * A fault in here does not belong to the broker: it is reported, and every subscription reads on in the log. Some may
   * receive events of this batch again, with the same IDs; none loses an event.
   */
  #heard(top: Cursor, hear: (previous: Cursor) => void): void {
    const previous = this.#host.tail.top
    try {
      hear(previous)
    } catch (error) {
      this.#host.failed(error)
      this.#attempt(() => this.#suspect(top, previous))
    }
  }

  /** One step for one subscription: its fault is reported, and the next one continues. */
  #attempt(step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#host.failed(error)
    }
  }

  #events(handedOver: readonly HandedOver[], top: Cursor, previous: Cursor): void {
    // The state may have changes that the log lost with its earlier epoch: every position is looked at.
    if (this.#host.snapshots !== undefined && top.epoch !== previous.epoch) return this.#suspect(top, previous)
    const batch = handedOver.some(isLoss) ? placeLosses(handedOver, previous) : handedOver
    const kept = logged(batch)
    this.#host.tail.append(kept, top)
    const { behind, undecided, unasked, delivered, gaps } = this.#fanOut(batch, previous)
    for (const item of kept) if (!isLoss(item)) item.release()
    this.#host.delivered(delivered)
    // First the delayed changes, then the subscriptions that are no longer live, then the parked ones that the hub has
    // reached.
    const afterwards = this.#afterwards
    this.#afterwards = []
    for (const fn of afterwards) this.#attempt(fn)
    for (const { subscription, gap } of gaps) this.#attempt(() => subscription.told(gap))
    for (const subscription of behind) this.#attempt(() => subscription.fallBehind())
    for (const subscription of undecided) this.#attempt(() => subscription.catchUpFrom(previous))
    for (const { subscription, channel } of unasked) this.#attempt(() => subscription.askFor(channel))
    for (const [subscription, position] of this.#parked) {
      if (isAhead(position, top)) continue
      this.#parked.delete(subscription)
      this.#attempt(() => subscription.catchUpFrom(top))
    }
  }

  #fanOut(batch: readonly HandedOver[], previous: Cursor): FanOutResult {
    this.#fanning = true
    try {
      return fanOut(this.#host.directory, batch, previous)
    } finally {
      this.#fanning = false
    }
  }

  #suspect(top: Cursor, previous: Cursor): void {
    this.#host.tail.reset(top)
    for (const subscription of this.#subscriptions) subscription.catchUpFrom(previous)
    this.#parked.clear()
    for (const reader of this.#host.readers) reader.suspect(previous)
  }
}
