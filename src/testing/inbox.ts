// Read when this module is loaded: a test may replace them.
const { setTimeout, clearTimeout } = globalThis
/** The event that `next` waits for. */
export interface NextOptions {
  /** The event type to wait for; events of other types that come first are dropped. Default: any. */
  type?: string | undefined
  /** Default: `timeoutMs` of `openStream`. */
  timeoutMs?: number | undefined
}

/** One event as a client received it. */
export interface ReceivedEvent {
  /** Its type; `'message'` if the stream has none. */
  readonly event: string
  /** The ID in its own block; undefined if it has none. */
  readonly id: string | undefined
  readonly data: string
  /** The data, parsed as JSON. */
  json<T = unknown>(): T
}

interface Waiting {
  readonly type: string | undefined
  resolve(event: ReceivedEvent): void
  reject(error: Error): void
}

/** Events between the connection that receives them and the test that takes them. */
export class Inbox {
  /** The events that were not taken. Empty while a call waits. */
  readonly #events: ReceivedEvent[] = []
  readonly #waiting: Waiting[] = []
  /** The reason why no more events arrive; undefined while they may. */
  #ended: string | undefined

  /** Events may arrive, for the first time or again. */
  begin(): void {
    this.#ended = undefined
  }

  /** The first waiting call for this type gets it. If calls wait, but none for this type, the event is dropped. */
  put(event: ReceivedEvent): void {
    if (this.#waiting.length === 0) {
      this.#events.push(event)
      return
    }
    const at = this.#waiting.findIndex(({ type }) => type === undefined || type === event.event)
    if (at !== -1) this.#waiting.splice(at, 1)[0]!.resolve(event)
  }

  /** No more events arrive: every waiting call rejects with the reason. Events that arrived can still be taken. */
  end(why: string): void {
    this.#ended = why
    for (const waiting of this.#waiting.splice(0)) waiting.reject(new Error(why))
  }

  /**
   * Resolves with the next event of the type; earlier events are dropped. `context` is added to the message of an
   * error.
   */
  take(type: string | undefined, timeoutMs: number, context: () => string): Promise<ReceivedEvent> {
    for (let event = this.#events.shift(); event !== undefined; event = this.#events.shift()) {
      if (type === undefined || event.event === type) return Promise.resolve(event)
    }
    if (this.#ended !== undefined) return Promise.reject(new Error(this.#ended))
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1)
        reject(new Error(`No event${type === undefined ? '' : ` ${type}`} came within ${timeoutMs} ms.${context()}`))
      }, timeoutMs)
      const waiting: Waiting = {
        type,
        resolve(event) {
          clearTimeout(timer)
          resolve(event)
        },
        reject(error) {
          clearTimeout(timer)
          reject(error)
        },
      }
      this.#waiting.push(waiting)
    })
  }
}
