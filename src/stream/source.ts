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

/** Options of `stream()`. */
export interface SourceOptions<T, Stream> {
  /** Writes an item: none, one or many events, with types. Awaited. Default: `sse.send(item)`. */
  each?(item: StreamItem<T>, sse: Stream): unknown
  /** Data of a last event after a source that ended well, such as `'[DONE]'`. Default: none. */
  done?: unknown
  /** Data of a last event after a source that failed; `undefined` = none, which is the default. */
  onError?(error: unknown): unknown
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

/** After so many items in a row that nobody had to wait for, the event loop gets its turn. */
const ITEMS_PER_TURN = 256

/** @internal The work of `EventStream.stream`. */
export async function streamFrom<T, Stream extends SourceTarget>(
  sse: Stream,
  source: EventSourceInput<T>,
  options: SourceOptions<T, Stream> = {},
  report: ((error: unknown) => void) | undefined,
): Promise<StreamResult> {
  const pending = source instanceof Promise || isThenable(source)
  // What is no source at all is told before the head is out, so that an error handler can still answer.
  let iterator = pending ? undefined : iterate(source as Source<T>)
  const each = options.each?.bind(options) ?? ((item: StreamItem<T>) => sse.send(item))
  let sent = 0
  const left = new Promise<undefined>((resolve) => sse.closed.then(() => resolve(undefined)))
  try {
    sse.commit()
  } catch (error) {
    discard(iterator, source)
    throw error
  }
  try {
    iterator ??= iterate(await source)
    const decoder = new TextDecoder()
    for (;;) {
      if (closed(sse)) return abandon(iterator, source, sent)
      const result = await Promise.race([iterator.next(), left])
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
      else if (sent % ITEMS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
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
    if (options.end !== false) sse.close('error')
    return { sent, reason: 'failed', error }
  }
  if (options.done !== undefined) call(() => sse.send(options.done), report)
  if (options.end !== false) sse.close('server')
  return { sent, reason: 'done' }
}

/** A call, because it changes under an await. */
function closed(sse: SourceTarget): boolean {
  return sse.state === 'closed'
}

function abandon(iterator: AnyIterator<unknown> | undefined, source: unknown, sent: number): StreamResult {
  discard(iterator, source)
  return { sent, reason: 'closed' }
}

/** Tells the source that nobody listens any more, without waiting for it: a generator may be in the middle of an await. */
function discard(iterator: AnyIterator<unknown> | undefined, source: unknown): void {
  if (iterator === undefined) {
    // A source that is still to come is finalised when it comes.
    if (isThenable(source))
      source.then(
        (late) => call(() => discard(iterate(late as Source<unknown>), late)),
        () => {},
      )
    return
  }
  call(() => Promise.resolve(iterator.return?.()).catch(() => {}))
  // A readable that waits for its origin only hears of it this way.
  const { destroy } = source as { destroy?: unknown }
  if (typeof destroy === 'function') call(() => destroy.call(source))
}

function call(fn: () => unknown, report?: (error: unknown) => void): void {
  try {
    fn()
  } catch (error) {
    if (report !== undefined) call(() => report(error))
  }
}

interface AnyIterator<T> {
  next(): Promise<IteratorResult<T>> | IteratorResult<T>
  return?(): unknown
}

function iterate<T>(source: Source<T>): AnyIterator<T> {
  if (typeof source === 'object' && source !== null) {
    const { [Symbol.asyncIterator]: async, [Symbol.iterator]: sync } = source as AsyncIterable<T> & Iterable<T>
    if (typeof (source as ReadableStream<T>).getReader === 'function')
      return readableIterator(source as ReadableStream<T>)
    if (typeof async === 'function') return async.call(source)
    if (typeof sync === 'function') return sync.call(source)
  }
  throw new TypeError('The source of stream() is a sync or async iterable, or a Web or Node readable.')
}

/** A Web stream through its reader: its `cancel` is heard while a read is waiting, its iterator's `return` is not. */
function readableIterator<T>(readable: ReadableStream<T>): AnyIterator<T> {
  const reader = readable.getReader()
  return {
    next: () => reader.read() as Promise<IteratorResult<T>>,
    return: () => reader.cancel(),
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null)?.then === 'function'
}
