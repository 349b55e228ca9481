/**
 * How long to wait after the `failures`-th failure in a row, counted from 0: anything from `floor`, which the server
 * asked for, up to a bound that doubles. The whole width is random ("full jitter"), and never less than half of `floor`,
 * so that clients which were cut together do not come back together.
 */
export function backoff(failures: number, floor: number, minMs: number, maxMs: number): number {
  const bound = Math.min(maxMs, Math.max(minMs, floor) * 2 ** failures)
  return floor + Math.random() * Math.max(floor / 2, bound - floor)
}

/** [spec] RFC 9110 #field.retry-after: seconds, or a date. In ms from `now`; 0 when there is none. */
export function retryAfter(value: string | null, now: number): number {
  const seconds = Number(value)
  return Math.max(0, Number.isNaN(seconds) ? Date.parse(value!) - now : seconds * 1_000) || 0
}
