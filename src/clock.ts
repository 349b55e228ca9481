/** The time that all waiting and measuring code uses. Tests inject `manualClock()` from `express-sse-hub/testing`. */
export interface Clock {
  /** Wall time in milliseconds since 1970, for people to read. */
  now(): number
  /** Milliseconds that never go back, for ages and time limits: a stepped wall clock trims no event. */
  monotonic(): number
  /** Calls `fn` once after `ms` milliseconds. A pending timer does not keep the process alive. */
  setTimeout(fn: () => void, ms: number): unknown
  clearTimeout(timer: unknown): void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  setTimeout: (fn, ms) => setTimeout(fn, ms).unref(),
  clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
}

/** The longest delay of a timer: a longer one would fire at once. */
export const MAX_DELAY_MS = 2 ** 31 - 1

/** The option `clock`: a `Clock`, or the system's. */
export function clockOption(clock: Clock | undefined): Clock {
  if (clock === undefined) return systemClock
  for (const method of ['now', 'monotonic', 'setTimeout', 'clearTimeout'] as const) {
    if (typeof clock?.[method] !== 'function')
      throw new TypeError(`Option \`clock\` must be a Clock, got a value without ${method}().`)
  }
  return clock
}
