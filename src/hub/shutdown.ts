import type { Clock } from '../clock.ts'

/** Options of `close()`. */
export interface HubCloseOptions {
  /** Milliseconds until the hub must have closed. Default 10,000. */
  timeoutMs?: number | undefined
  /** The smallest and the largest reconnection time to send. Default [2,000, 10,000]. */
  retryMs?: readonly [least: number, most: number] | undefined
}

export const SHUTDOWN_RETRY_MS = [2_000, 10_000] as const

const STEP_MS = 20
/** The minimum of streams that are ended per second, so that a small hub closes at once. */
const MIN_PER_SECOND = 500

/**
 * Ends all items evenly, so that their clients do not reconnect together: over four fifths of the time, or faster at
 * 500 a second. Resolves when all are ended.
 */
export async function endEvenly<T>(
  all: readonly T[],
  timeoutMs: number,
  clock: Clock,
  end: (one: T) => void,
): Promise<void> {
  const steps = Math.max(1, Math.floor((timeoutMs * 0.8) / STEP_MS))
  const perStep = Math.max(Math.ceil((MIN_PER_SECOND * STEP_MS) / 1_000), Math.ceil(all.length / steps))
  for (let i = 0; i < all.length; i += perStep) {
    if (i > 0) await new Promise<void>((resolve) => clock.setTimeout(resolve, STEP_MS))
    for (const one of all.slice(i, i + perStep)) end(one)
  }
}

/** Whether `promise` settles within `ms`. */
export async function within(promise: Promise<unknown>, ms: number, clock: Clock): Promise<boolean> {
  let timer: unknown
  const late = new Promise<false>((resolve) => {
    timer = clock.setTimeout(() => resolve(false), ms)
  })
  try {
    return await Promise.race([promise.then(() => true), late])
  } finally {
    clock.clearTimeout(timer)
  }
}

export function parseRetryRange(range: unknown): readonly [number, number] {
  if (range === undefined) return SHUTDOWN_RETRY_MS
  if (Array.isArray(range) && range.length === 2 && range.every(Number.isSafeInteger) && range[0] <= range[1]) {
    return [range[0], range[1]]
  }
  throw new TypeError('Option `retryMs` must be two whole numbers of milliseconds, the smallest and the largest.')
}
