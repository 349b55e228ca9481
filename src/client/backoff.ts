import { MAX_DELAY_MS } from '../clock.ts'

/**
 * How long to wait after the `failures`-th failure in a row, counted from 0: anything from `floor`, which the server
 * asked for, up to a bound that doubles. The whole width is random ("full jitter"), so that clients which were cut
 * together do not come back together.
 */
export function backoff(failures: number, floor: number, minMs: number, maxMs: number): number {
  const bound = Math.min(maxMs, Math.max(minMs, floor) * 2 ** failures)
  return floor + Math.random() * Math.max(0, bound - floor)
}

/** [spec] RFC 9110 #field.retry-after: seconds, or a date. In ms from `now`; 0 when there is none. */
export function retryAfter(value: string | null, now: number): number {
  if (!value) return 0
  const ms = /^\d+$/.test(value) ? +value * 1000 : Date.parse(value) - now
  return Math.min(Math.max(0, ms || 0), MAX_DELAY_MS)
}
