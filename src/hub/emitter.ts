import type { IncomingMessage } from 'node:http'
import type { CloseReason, SseErrorCode } from '../errors.ts'
import type { Gap } from './notice.ts'
import type { Subscription } from './subscription.ts'

/** What a hub tells those who listen with `on()`. */
export interface HubEvents {
  /** A subscription has written its first block. */
  subscribe: [subscription: Subscription]
  /** A subscription that had written its first block has ended. */
  unsubscribe: [subscription: Subscription, reason: CloseReason]
  /** A subscriber was told that something is missing. */
  gap: [subscription: Subscription, gap: Gap]
  /** A subscriber is too far behind to be live. */
  lagging: [subscription: Subscription]
  /** A request was refused: by name, by a hook, by a limit, or because the hub is closing or overloaded. */
  refused: [refusal: { req: IncomingMessage; code: SseErrorCode; status: number }]
  /** Something failed: a publish, a read, a hook, a listener. */
  error: [error: unknown, context: { channel?: string | undefined }]
}

type Listener<K extends keyof HubEvents> = (...args: HubEvents[K]) => void

/** The listeners of a hub. One that throws disturbs nobody: it is reported as an `error`, and an `error` listener's is dropped. */
export class Emitter {
  readonly #listeners = new Map<keyof HubEvents, Set<Listener<never>>>()

  on<K extends keyof HubEvents>(type: K, listener: Listener<K>): () => void {
    let listeners = this.#listeners.get(type)
    if (listeners === undefined) {
      listeners = new Set()
      this.#listeners.set(type, listeners)
    }
    // The same function may be added twice, and each addition is taken back by itself.
    const own: Listener<K> = (...args) => listener(...args)
    listeners.add(own)
    return () => listeners.delete(own)
  }

  emit<K extends keyof HubEvents>(type: K, ...args: HubEvents[K]): void {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) {
      try {
        ;(listener as Listener<K>)(...args)
      } catch (error) {
        if (type !== 'error') this.emit('error', error, {})
      }
    }
  }
}
