import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage } from 'node:http'
import type { CloseReason, SseErrorCode } from '../errors.ts'
import { show, wrongOption } from '../option.ts'
import { inThisContext, nextTurn } from '../server-clock.ts'
import type { Gap } from './notice.ts'
import type { Subscription } from './subscription.ts'

/** The events of a hub, for `on()`. */
export interface HubEvents {
  /** A subscription has written its first block. */
  subscribe: [subscription: Subscription]
  /** A subscription that had written its first block has ended. */
  unsubscribe: [subscription: Subscription, reason: CloseReason]
  /** A gap was reported to a subscriber. */
  gap: [subscription: Subscription, gap: Gap]
  /** A subscriber is too far behind to be live. */
  lagging: [subscription: Subscription]
  /** A request was refused: by name, by a hook, by a limit, or because the hub is closing or overloaded. */
  refused: [refusal: { req: IncomingMessage; code: SseErrorCode; status: number }]
  /** Something failed: a publish, a read, a hook, a listener. */
  error: [error: unknown, context: { channel?: string | undefined }]
}

const TYPES = ['subscribe', 'unsubscribe', 'gap', 'lagging', 'refused', 'error'] as const

type Listener<K extends keyof HubEvents> = (...args: HubEvents[K]) => unknown

/** Set while a listener of `error` runs, and in all asynchronous work that it starts. */
const inErrorListener = new AsyncLocalStorage<true>()

/**
 * The listeners of a hub. A listener that throws or rejects disturbs no other: its error is emitted as `error`. Errors
 * are emitted in a separate turn. An error inside a listener of `error` is not emitted: a listener that publishes its
 * errors would otherwise run forever.
 */
export class Emitter {
  readonly #listeners = new Map<keyof HubEvents, Set<Listener<never>>>()

  on<K extends keyof HubEvents>(type: K, listener: Listener<K>): () => void {
    if (!TYPES.includes(type)) {
      throw new TypeError(`on() must be given one of the events ${TYPES.join(', ')}, got ${show(type)}.`)
    }
    if (typeof listener !== 'function') throw wrongOption('listener', 'a function', listener)
    let listeners = this.#listeners.get(type)
    if (listeners === undefined) {
      listeners = new Set()
      this.#listeners.set(type, listeners)
    }
    // A function that is added twice is two listeners.
    const own = inThisContext((...args: HubEvents[K]) =>
      type === 'error' ? inErrorListener.run(true, () => listener(...args)) : listener(...args),
    ) as Listener<K>
    listeners.add(own)
    return () => listeners.delete(own)
  }

  emit<K extends keyof HubEvents>(type: K, ...args: HubEvents[K]): void {
    const listeners = this.#listeners.get(type)
    if (listeners === undefined || listeners.size === 0) return
    if (type === 'error') {
      if (inErrorListener.getStore() === undefined) nextTurn(() => this.#emitError(args as HubEvents['error']))
      return
    }
    for (const listener of [...listeners]) {
      call(
        () => (listener as Listener<K>)(...args),
        (error) => this.emit('error', error, {}),
      )
    }
  }

  #emitError(args: HubEvents['error']): void {
    for (const listener of [...(this.#listeners.get('error') ?? [])]) {
      call(
        () => (listener as Listener<'error'>)(...args),
        () => {},
      )
    }
  }
}

function call(fn: () => unknown, failed: (error: unknown) => void): void {
  try {
    const result = fn()
    if (typeof (result as PromiseLike<unknown> | undefined)?.then === 'function') {
      ;(result as PromiseLike<unknown>).then(undefined, failed)
    }
  } catch (error) {
    failed(error)
  }
}
