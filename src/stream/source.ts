import { booleanOption, functionOption, optionsObject } from '../option.ts'

/** What this needs of the stream it writes to. */
export interface SourceTarget {
  readonly state: 'idle' | 'open' | 'closed'
  readonly closed: Promise<unknown>
  readonly bufferedBytes: number
  commit(): boolean
  send(data: unknown): boolean
  drained(): Promise<void>
  close(reason: 'server' | 'error'): void
}

/** What `stream()` takes: a sync or async iterable, a Web or Node readable, or a promise of one. A string is none. */
export type EventSourceInput<T> = Source<T> | Promise<Source<T>>

type Source<T> = Iterable<T> | AsyncIterable<T> | ReadableStream<T>

/** What an item is when it reaches `each`: bytes arrive as the text they decode to. */
export type StreamItem<T> = T extends Uint8Array ? string : T

// Checked as a method, so that an `each` may ask for a narrower item than the source is known to yield.
type Each<Item, Stream> = { each(item: Item, sse: Stream): unknown }['each']

/** Options of `stream()`. */
export interface SourceOptions<T, Stream> {
  /** Writes an item: none, one or many events, with types. Awaited. Default: `sse.send(item)`. */
  each?: Each<StreamItem<T>, Stream> | undefined
  /** Data of a last event after a source that ended well, such as `'[DONE]'`. Default: none. */
  done?: unknown
  /** Data of a last event after a source that failed; `undefined` = none, which is the default. */
  onError?: ((error: unknown) => unknown) | undefined
  /** Whether the stream ends with its source. Default true. */
  end?: boolean | undefined
}

/** How `stream()` ended. */
export interface StreamResult {
  /** Items that were handed to `each`. */
  sent: number
  /** `'done'`: the source ended. `'closed'`: the stream did, and the source was finalised. `'failed'`: the source threw. */
  reason: 'done' | 'closed' | 'failed'
  /** What the source, or `each`, threw. */
  error?: unknown
}

const NAMES = ['each', 'done', 'onError', 'end'] as const

/** After so many items the event loop gets its turn: a source that never waits and a peer that keeps up would hold it. */
const ITEMS_PER_TURN = 256

/** @internal The work of `EventStream.stream`. */
export async function streamFrom<T, Stream extends SourceTarget>(
  sse: Stream,
  source: EventSourceInput<T>,
  given: SourceOptions<T, Stream> | undefined,
  report: ((error: unknown) => void) | undefined,
): Promise<StreamResult> {
  // What is no source, and what is no option, is told before the head is out, so that an error handler can still answer.
  const options = optionsObject('stream()', given, NAMES)
  const each = functionOption('each', options.each)?.bind(options) ?? ((item: StreamItem<T>) => sse.send(item))
  functionOption('onError', options.onError)
  const end = booleanOption('end', options.end, true)
  let iterator = isThenable(source) ? undefined : iterate(source)
  let sent = 0
  const unlessClosed = untilClosed(sse)
  try {
    sse.commit()
  } catch (error) {
    discard(iterator, source)
    throw error
  }
  try {
    if (iterator === undefined) {
      const arrived = closed(sse) ? undefined : await unlessClosed(() => source as PromiseLike<Source<T>>)
      if (closed(sse)) return abandon(iterator, source, sent)
      iterator = iterate(arrived as Source<T>)
    }
    const decoder = new TextDecoder()
    for (;;) {
      if (closed(sse)) return abandon(iterator, source, sent)
      const result = await unlessClosed(iterator.next)
      if (result === undefined || closed(sse)) return abandon(iterator, source, sent)
      if (result.done) break
      let item: unknown = result.value
      if (item instanceof Uint8Array) {
        item = decoder.decode(item, { stream: true })
        if (item === '') continue
      }
      await each(item as StreamItem<T>, sse)
      sent++
      if (sse.bufferedBytes > 0) await sse.drained()
      if (sent % ITEMS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    const rest = decoder.decode()
    if (rest !== '') {
      await each(rest as StreamItem<T>, sse)
      sent++
    }
  } catch (error) {
    // The source of a client that left mostly fails because it was aborted: nobody needs to hear of that.
    if (closed(sse)) return abandon(iterator, source, sent)
    discard(iterator, source)
    call(() => report?.(error))
    let data: unknown
    call(() => {
      data = options.onError?.(error)
    }, report)
    if (data !== undefined) call(() => sse.send(data), report)
    if (end) sse.close('error')
    return { sent, reason: 'failed', error }
  }
  if (options.done !== undefined) call(() => sse.send(options.done), report)
  if (end) sse.close('server')
  return { sent, reason: 'done' }
}

/** A call, because it changes under an await. */
function closed(sse: SourceTarget): boolean {
  return sse.state === 'closed'
}

function abandon(iterator: SourceIterator<unknown> | undefined, source: unknown, sent: number): StreamResult {
  discard(iterator, source)
  return { sent, reason: 'closed' }
}

/**
 * Waits for what `start` returns, or for the stream to close: then the result is undefined. Lets go of each result when
 * the next is waited for; a race against one promise for the whole stream would keep them all.
 */
function untilClosed(sse: SourceTarget): <V>(start: () => V | PromiseLike<V>) => Promise<V | undefined> {
  let leave = (): void => {}
  sse.closed.then(() => leave())
  return (start) =>
    new Promise((resolve, reject) => {
      leave = () => resolve(undefined)
      Promise.resolve(start()).then(resolve, reject)
    })
}

/**
 * Tells the source that nobody listens any more, without waiting for it: a generator may be in the middle of an await.
 * Without an iterator the source is a promise, and what it brings is finalised when it comes.
 */
function discard(iterator: SourceIterator<unknown> | undefined, source: unknown): void {
  if (iterator !== undefined) {
    call(() => Promise.resolve(iterator.return()).catch(() => {}))
  } else {
    ;(source as PromiseLike<Source<unknown>>).then(
      (late) => call(() => discard(iterate(late), late)),
      () => {},
    )
  }
}

function call(fn: () => unknown, report?: (error: unknown) => void): void {
  try {
    fn()
  } catch (error) {
    if (report !== undefined) call(() => report(error))
  }
}

interface SourceIterator<T> {
  next(this: void): Promise<IteratorResult<T>> | IteratorResult<T>
  return(this: void): unknown
}

/** Throws a TypeError for what is no source. */
function iterate<T>(source: Source<T>): SourceIterator<T> {
  if (typeof source === 'object' && source !== null) {
    const { getReader } = source as Partial<ReadableStream<T>>
    const { [Symbol.asyncIterator]: async, [Symbol.iterator]: sync } = source as Partial<AsyncIterable<T> & Iterable<T>>
    // A Web stream through its reader: its `cancel` is heard while a read is waiting, its iterator's `return` is not.
    if (typeof getReader === 'function') {
      const reader = (source as ReadableStream<T>).getReader()
      return { next: () => reader.read() as Promise<IteratorResult<T>>, return: () => reader.cancel() }
    }
    const iterator = async?.call(source as AsyncIterable<T>) ?? sync?.call(source as Iterable<T>)
    if (iterator !== undefined) {
      return {
        next: () => iterator.next(),
        return() {
          // A Node stream that waits for its origin only hears of it this way.
          const { destroy } = source as { destroy?: unknown }
          if (typeof destroy === 'function') call(() => destroy.call(source))
          return iterator.return?.()
        },
      }
    }
  }
  throw new TypeError('The source of stream() is a sync or async iterable, or a Web or Node readable.')
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
