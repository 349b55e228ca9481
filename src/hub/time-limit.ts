import type { Clock } from '../clock.ts'

/** Settles as `promise` does, or rejects with `makeError()` after `ms`. */
export async function withinTime<T>(
  clock: Clock,
  ms: number,
  promise: T | PromiseLike<T>,
  makeError: () => unknown,
): Promise<T> {
  let timer: unknown
  const late = new Promise<never>((_, reject) => {
    timer = clock.setTimeout(() => reject(makeError()), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clock.clearTimeout(timer)
  }
}
