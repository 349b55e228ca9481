import { booleanOption, functionOption, optionsObject } from '../option.ts'
import { nextTurn } from '../server-clock.ts'
import { originOf } from './origin.ts'

/** The part of a stream that `stream()` uses. */
interface Target {
  readonly state: 'idle' | 'open' | 'closed'
  readonly closed: Promise<unknown>
  readonly bufferedBytes: number
  send(data: unknown): boolean
  drained(): Promise<void>
  close(reason: 'server' | 'error'): void
}

/** The response behind it. */
interface Body {
  commit(): boolean
  /** Ends the stream with `'error'`, so that no client takes it for a complete answer. */
  cut(): void
}

/** The input of `stream()`: a sync or async iterable, a Web or Node readable, or a promise of one. Not a string. */
export type EventSourceInput<T> = Source<T> | Promise<Source<T>>

type Source<T> = Iterable<T> | AsyncIterable<T> | ReadableStream<T>

/** An item as `each` receives it: bytes arrive as decoded text. */
export type StreamItem<T> = T extends Uint8Array ? string : T

// TypeScript checks a method less strictly, so an `each` may require a narrower item than the source yields.
type Each<Item, Stream> = { each(item: Item, sse: Stream): unknown }['each']

/** Options of `stream()`. */
export interface SourceOptions<T, Stream> {
  /** Writes an item: none, one or many events, with types. Awaited. Default: `sse.send(item)`. */
  each?: Each<StreamItem<T>, Stream> | undefined
  /** Data of a last event after a source that completed, such as `'[DONE]'`. Default: none. */
  done?: unknown
  /**
   * Data of a last event after a source that failed. Default: none. Without it the connection is cut, so that no client
   * takes a part of the answer for the whole.
   */
  onError?: ((error: unknown) => unknown) | undefined
  /** Whether the stream ends with its source. Default true. */
  end?: boolean | undefined
}

/** The end of `stream()`. */
export interface StreamResult {
  /** Items that were passed to `each`. */
  sent: number
  /**
   * `'done'`: the source ended. `'closed'`: the stream ended first, and the source was finalised. `'failed'`: the
   * source threw.
   */
  reason: 'done' | 'closed' | 'failed'
  /** The error of the source, or of `each`. */
  error?: unknown
}

const NAMES = ['each', 'done', 'onError', 'end'] as const

/** The event loop gets its turn after this many items: a source and a peer that never wait would block it. */
const ITEMS_PER_TURN = 256

/** The work of `EventStream.stream`. */
export async function streamFrom<T, Stream extends Target>(
  sse: Stream,
  body: Body,
  source: EventSourceInput<T>,
  given: SourceOptions<T, Stream> | undefined,
  report: ((error: unknown) => void) | undefined,
): Promise<StreamResult> {
  // From here on this call owns the source, in every outcome.
  const origin = originOf(source)
  let sent = 0
  let isDone = false
  try {
    const options = optionsObject('stream()', given, NAMES)
    const each = functionOption('each', options.each)?.bind(options) ?? ((item: StreamItem<T>) => sse.send(item))
    const onError = functionOption('onError', options.onError)?.bind(options)
    const end = booleanOption('end', options.end, true)
    const unlessClosed = untilClosed(sse)
    try {
      await unlessClosed(() => origin.arrived)
      if (!isClosed(sse)) body.commit()
      const text = new TextJoiner()
      while (!isClosed(sse) && !isDone) {
        const result = await unlessClosed(() => origin.next())
        if (result === undefined || isClosed(sse)) break
        isDone = result.done === true
        for (const item of isDone ? text.end() : text.take(result.value)) {
          await each(item as StreamItem<T>, sse)
          sent++
          if (sse.bufferedBytes > 0) await sse.drained()
        }
        if (sent % ITEMS_PER_TURN === 0) await new Promise((resolve) => nextTurn(resolve))
      }
    } catch (error) {
      // The source of a client that has left usually fails because it was aborted, which is not an error.
      if (isClosed(sse)) return { sent, reason: 'closed' }
      // Before the head it is an error of the handler, answered with its own status.
      if (sse.state === 'idle') throw error
      call(() => report?.(error))
      let isReported = false
      call(() => {
        const data = onError?.(error)
        if (data === undefined) return
        sse.send(data)
        isReported = true
      }, report)
      if (end && isReported) sse.close('error')
      else if (end) body.cut()
      return { sent, reason: 'failed', error }
    }
    if (isClosed(sse) && !isDone) return { sent, reason: 'closed' }
    if (options.done !== undefined) call(() => sse.send(options.done), report)
    if (end) sse.close('server')
    return { sent, reason: 'done' }
  } finally {
    if (!isDone) origin.discard()
  }
}

/** Text across items: bytes are decoded across chunks, and no surrogate pair is split. */
class TextJoiner {
  readonly #decoder = new TextDecoder()
  /** A high surrogate that waits for the string after it. */
  #rest = ''

  /** The parts of an item that can be sent: usually the item itself. */
  take(item: unknown): unknown[] {
    if (item instanceof Uint8Array) {
      const text = this.#decoder.decode(item, { stream: true })
      return text === '' ? [] : [...this.#flush(), text]
    }
    const before = this.#decoder.decode()
    if (before !== '') return [...this.#flush(), before, ...this.take(item)]
    if (typeof item !== 'string') return [...this.#flush(), item]
    const text = this.#rest + item
    this.#rest = /[\ud800-\udbff]$/.test(text) ? text.slice(-1) : ''
    if (this.#rest === '') return [text]
    return text.length > 1 ? [text.slice(0, -1)] : []
  }

  /** The rest when the source has ended. */
  end(): unknown[] {
    const text = this.#decoder.decode()
    return text === '' ? this.#flush() : [...this.#flush(), text]
  }

  #flush(): string[] {
    const rest = this.#rest
    this.#rest = ''
    return rest === '' ? [] : [rest]
  }
}

/** A function, because the state changes during an await. */
function isClosed(sse: Target): boolean {
  return sse.state === 'closed'
}

/**
 * Waits for the result of `start`, or for the stream to close: then the result is undefined. It drops each result when
 * it waits for the next; a race against one promise for the whole stream would keep all of them.
 */
function untilClosed(sse: Target): <V>(start: () => V | PromiseLike<V>) => Promise<V | undefined> {
  let leave = (): void => {}
  sse.closed.then(() => leave())
  return (start) =>
    new Promise((resolve, reject) => {
      if (isClosed(sse)) return resolve(undefined)
      leave = () => resolve(undefined)
      Promise.resolve(start()).then(resolve, reject)
    })
}

function call(fn: () => unknown, report?: (error: unknown) => void): void {
  try {
    fn()
  } catch (error) {
    if (report !== undefined) call(() => report(error))
  }
}
