import type { Clock } from '../clock.ts'
import { Expiry } from './expiry.ts'
import { type AskedChannels, type Authorize, Guard } from './guard.ts'

/** The end of a subscription's permission, and its decisions on the channels of patterns. */
export class Permission {
  readonly #clock: Clock
  readonly #authorize: Authorize | undefined
  readonly #expiry: Expiry
  #guard: Guard | undefined

  /** `until`: see SubscribeRequest. `onExpired` is called once. */
  constructor(
    clock: Clock,
    { authorize, until }: { authorize?: Authorize | undefined; until?: number | undefined },
    onExpired: () => void,
  ) {
    this.#clock = clock
    this.#authorize = authorize
    this.#expiry = new Expiry(clock, onExpired)
    this.#expire(until)
  }

  /** Decides on each channel of the patterns; undefined without patterns or without a hook. */
  guard(asked: AskedChannels & { readonly patterns: readonly string[] }): Guard | undefined {
    if (this.#authorize === undefined || asked.patterns.length === 0) return undefined
    this.#guard ??= new Guard(this.#authorize, this.#clock, ({ until }) => this.#expire(until))
    this.#guard.asked = asked
    return this.#guard
  }

  /** Expires now if the end has passed without a timer: timers stop while a machine sleeps. */
  check(): void {
    this.#expiry.check()
  }

  stop(): void {
    this.#expiry.stop()
  }

  #expire(until: number | undefined): void {
    if (until !== undefined) this.#expiry.until(until)
  }
}
