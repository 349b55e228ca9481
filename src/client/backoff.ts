/**
 * The wait after the `failures`-th failure in a row, counted from 0: a random value between `floor`, which the server
 * requested, and a limit that doubles. The whole range is random ("full jitter") and at least half of `floor` wide, so
 * that clients that were cut together do not reconnect together.
 */
export function backoff(failures: number, floor: number, minMs: number, maxMs: number): number {
  const bound = Math.min(maxMs, Math.max(minMs, floor) * 2 ** failures)
  return floor + Math.random() * Math.max(floor / 2, bound - floor)
}

/** [spec] RFC 9110 #field.retry-after: seconds, or a date. In ms from `now`; 0 without a value. */
export function retryAfter(value: string | null, now: number): number {
  const seconds = Number(value)
  return Math.max(0, Number.isNaN(seconds) ? Date.parse(value!) - now : seconds * 1_000) || 0
}
