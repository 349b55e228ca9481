import type { Clock } from '../clock.ts'

/** Time as a page has it. Unlike on the server a timer holds the process, unless it is told not to. */
export function clientClock(unref = false): Clock {
  return {
    now: () => Date.now(),
    monotonic: () => performance.now(),
    setTimeout(fn, ms) {
      const timer = setTimeout(fn, ms)
      if (unref) timer.unref?.()
      return timer
    },
    clearTimeout: (timer) => clearTimeout(timer as NodeJS.Timeout | undefined),
  }
}
