import type { Selector } from '../broker.ts'
import { closed, unavailable } from './failure.ts'

/** The time that a subscription waits for an absent server. */
const PATIENCE_MS = 5_000

interface Wait {
  readonly selector: Selector
  readonly timer: NodeJS.Timeout
  resolve(): void
  reject(error: unknown): void
}

/** The calls that wait until all their channels are confirmed and the node is live, at the same moment. */
export class SubscribeWaits {
  readonly #isReady: (selector: Selector) => boolean
  readonly #waits = new Set<Wait>()

  constructor(isReady: (selector: Selector) => boolean) {
    this.#isReady = isReady
  }

  async until(selector: Selector): Promise<void> {
    if (this.#isReady(selector)) return
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waits.delete(wait)
        reject(unavailable(new Error('The subscription was not confirmed in time.')))
      }, PATIENCE_MS).unref()
      const wait: Wait = { selector, timer, resolve, reject }
      this.#waits.add(wait)
    })
  }

  /** The state has changed. */
  look(): void {
    for (const wait of this.#waits) if (this.#isReady(wait.selector)) this.#settle(wait).resolve()
  }

  close(): void {
    for (const wait of this.#waits) this.#settle(wait).reject(closed())
  }

  #settle(wait: Wait): Wait {
    clearTimeout(wait.timer)
    this.#waits.delete(wait)
    return wait
  }
}
