import { show } from '../option.ts'

/** The items of `stream()`. */
export interface Origin {
  /** Resolves when the source is available; rejects when its promise rejects, or when it is not a source. */
  readonly arrived: Promise<void>
  /** The next item. Only after `arrived`. */
  next(): Promise<IteratorResult<unknown>> | IteratorResult<unknown>
  /**
   * Finalises the source: returns its iterator, destroys a Node stream, cancels a Web stream. Does not wait for any of
   * it, because a generator may be in the middle of an await. Later errors are dropped. Idempotent.
   */
  discard(): void
}

/**
 * Takes ownership of a source. From here on its errors are never uncaught: a Node stream may fail before it is
 * iterated, a promise may reject after the client has left, `destroy` and `return` may throw or reject.
 */
export function originOf(source: unknown): Origin {
  let iterator: SourceIterator | undefined
  let isDiscarded = false
  const arrive = (given: unknown): void => {
    guard(given)
    iterator = iterate(given)
    if (isDiscarded) finalise(given, iterator)
  }
  const arrived = isThenable(source) ? Promise.resolve(source).then(arrive) : started(() => arrive(source))
  arrived.catch(() => {})
  return {
    arrived,
    next: () => iterator!.next(),
    discard() {
      if (isDiscarded) return
      isDiscarded = true
      if (!isThenable(source)) finalise(source, iterator)
      else if (iterator !== undefined) finalise(undefined, iterator)
    },
  }
}

interface SourceIterator {
  next(this: void): Promise<IteratorResult<unknown>> | IteratorResult<unknown>
  return(this: void): unknown
}

/** Runs `fn` now, and turns an exception into a rejection. */
async function started(fn: () => void): Promise<void> {
  fn()
}

/** A Node stream emits `error` when it is destroyed early, even if it is no longer iterated. */
function guard(source: unknown): void {
  if (!isNodeStream(source)) return
  quietly(() => source.on('error', () => {}))
}

function finalise(source: unknown, iterator: SourceIterator | undefined): void {
  if (isNodeStream(source)) quietly(() => source.destroy())
  if (iterator !== undefined) quietly(() => iterator.return())
}

/** Calls `fn`, and drops its exception or rejection. */
function quietly(fn: () => unknown): void {
  try {
    Promise.resolve(fn()).catch(() => {})
  } catch {}
}

/** Throws a TypeError for a value that is not a source. */
function iterate(source: unknown): SourceIterator {
  if (typeof source === 'object' && source !== null) {
    const { getReader } = source as Partial<ReadableStream<unknown>>
    // A Web stream is read through its reader: its `cancel` ends a waiting read, and the iterator's `return` does not.
    if (typeof getReader === 'function') {
      const reader = (source as ReadableStream<unknown>).getReader()
      return { next: () => reader.read() as Promise<IteratorResult<unknown>>, return: () => reader.cancel() }
    }
    const iterable = source as Partial<AsyncIterable<unknown> & Iterable<unknown>>
    const iterator = iterable[Symbol.asyncIterator]?.() ?? iterable[Symbol.iterator]?.()
    if (iterator !== undefined) {
      return {
        next: () => iterator.next(),
        return() {
          // Only this reaches a Node stream that waits for its origin.
          if (isNodeStream(source)) quietly(() => source.destroy())
          return iterator.return?.()
        },
      }
    }
  }
  throw new TypeError(
    `The source of stream() must be a sync or async iterable, or a Web or Node readable, got ${show(source)}.`,
  )
}

interface NodeStream {
  on(type: 'error', listener: (error: unknown) => void): unknown
  destroy(): unknown
}

function isNodeStream(source: unknown): source is NodeStream {
  const { on, destroy } = (source ?? {}) as Partial<NodeStream>
  return typeof on === 'function' && typeof destroy === 'function'
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as { then?: unknown } | null | undefined)?.then === 'function'
}
