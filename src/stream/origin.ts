import { show } from '../option.ts'

/** Where the items of `stream()` come from. */
export interface Origin {
  /** Resolves when the source is there; rejects when its promise does, or when it turns out not to be a source. */
  readonly arrived: Promise<void>
  /** The next item. Only after `arrived`. */
  next(): Promise<IteratorResult<unknown>> | IteratorResult<unknown>
  /**
   * Finalises the source: its iterator returns, a Node stream is destroyed, a Web stream cancelled. Does not wait for
   * any of it, because a generator may be in the middle of an await. Errors from here on are dropped. Idempotent.
   */
  discard(): void
}

/**
 * Takes over a source. Whatever becomes of it later, its errors are never uncaught: a Node stream may fail before anyone
 * iterates it, a promise may reject after the client has left, `destroy` and `return` may throw or reject.
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

/** Runs now, and gives what it throws as a rejection. */
async function started(fn: () => void): Promise<void> {
  fn()
}

/** A Node stream emits `error` when it is destroyed early, also when nothing iterates it any longer. */
function guard(source: unknown): void {
  if (!isNodeStream(source)) return
  quietly(() => source.on('error', () => {}))
}

function finalise(source: unknown, iterator: SourceIterator | undefined): void {
  if (isNodeStream(source)) quietly(() => source.destroy())
  if (iterator !== undefined) quietly(() => iterator.return())
}

/** Drops what a call throws, and what it rejects with. */
function quietly(fn: () => unknown): void {
  try {
    Promise.resolve(fn()).catch(() => {})
  } catch {}
}

/** Throws a TypeError for anything else than a source. */
function iterate(source: unknown): SourceIterator {
  if (typeof source === 'object' && source !== null) {
    const { getReader } = source as Partial<ReadableStream<unknown>>
    // A Web stream through its reader: its `cancel` is heard while a read waits, its iterator's `return` is not.
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
          // A Node stream that waits for its origin is only reached this way.
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
