import { type ChannelSelection, parseSelection } from '../channel-name.ts'
import type { ChannelSelector } from './channel.ts'
import type { DueSnapshots } from './due-snapshots.ts'
import type { SubscriptionHost } from './subscription-host.ts'

/** A subscription whose channels can change. */
export interface ChangingSubscription {
  readonly channels: readonly string[]
  readonly state: string
  /** Present where channels have snapshots: a change is complete when those of added channels are written. */
  readonly snapshots: Pick<DueSnapshots, 'written'> | undefined
  /** Resolves when no event of its current channels is outstanding, or it is closed. */
  caughtUp(): Promise<void>
  /** Replaces the names and their selector, and releases the current ones. */
  replaceChannels(names: readonly string[], selector: ChannelSelector): void
}

/** Returns the names after a change for those before it. */
type Change = (names: readonly string[]) => readonly string[]

type Host = Pick<SubscriptionHost<never>, 'assertSelection' | 'broker' | 'directory'>

/** The changes of the channels of one subscription, one after the other. */
export class ChannelChanges {
  readonly #host: Host
  readonly #subscription: ChangingSubscription
  /** Settles with the last change. */
  #last: Promise<void>

  /** `begun`: changes wait until it settles. */
  constructor(host: Host, subscription: ChangingSubscription, begun: Promise<void> | undefined) {
    this.#host = host
    this.#subscription = subscription
    this.#last = begun?.catch(() => {}) ?? Promise.resolve()
  }

  async add(channels: ChannelSelection): Promise<void> {
    const added = parseSelection(channels)
    await this.#queue((names) => [...new Set([...names, ...added])])
  }

  async remove(channels: ChannelSelection): Promise<void> {
    const removed = parseSelection(channels)
    await this.#queue((names) => names.filter((name) => !removed.includes(name)))
  }

  #queue(change: Change): Promise<void> {
    const changed = this.#last.then(() => this.#make(change))
    this.#last = changed.catch(() => {})
    return changed
  }

  /** Rejects, with nothing changed, for too few or too many names, and if the broker fails. */
  async #make(change: Change): Promise<void> {
    const { broker, directory } = this.#host
    const subscription = this.#subscription
    const before = subscription.channels
    this.#host.assertSelection(change(before))
    // Events of a removed channel are delivered, or reported as lost, up to here.
    if (before.some((name) => !change(before).includes(name))) await subscription.caughtUp()
    if (subscription.state === 'closed') return
    const names = change(subscription.channels)
    if (isEqual(names, subscription.channels)) return
    const selector = directory.acquire(names)
    try {
      await broker.subscribe(selector)
    } catch (error) {
      directory.release(selector)
      throw error
    }
    if (subscription.state === 'closed') {
      broker.unsubscribe(selector)
      directory.release(selector)
      return
    }
    subscription.replaceChannels(names, selector)
    await subscription.snapshots?.written(names)
  }
}

/** The names as an array that all subscriptions with the same names in the same order share. */
export function sharedNames({ names: shared }: ChannelSelector, names: readonly string[]): readonly string[] {
  return isEqual(names, shared) ? shared : names
}

function isEqual(names: readonly string[], others: readonly string[]): boolean {
  return names.length === others.length && names.every((name, i) => name === others[i])
}
