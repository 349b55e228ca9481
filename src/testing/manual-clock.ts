import type { Clock } from '../clock.ts'

/** Where a clock starts. */
export interface ManualClockOptions {
  /** Wall time in milliseconds since 1970. Default: 2026-01-01T00:00:00Z. */
  now?: number | undefined
}

/** Time that moves only when a test moves it. Timers and both readings of the time follow it. */
export interface ManualClock extends Clock {
  /**
   * Moves both times forward by `ms` milliseconds. Calls every timer that becomes due, in the order of their due times
   * and at these times, including timers that start during the call. Throws the error of a timer.
   */
  advance(ms: number): void
  /** Steps the wall clock to `ms` milliseconds since 1970, as an administrator would. No timer and no age moves. */
  setWallTime(ms: number): void
  /** The number of pending timers: 0 when all users of this clock have cleared theirs. */
  readonly pendingTimers: number
}

const START = Date.UTC(2026, 0, 1)

/** A clock for `sse({ clock })`, `new ChannelHub({ clock })` and the `{ clock }` of every broker. */
export function manualClock(options: ManualClockOptions = {}): ManualClock {
  const wallStart = options.now ?? START
  if (!Number.isFinite(wallStart)) throw new TypeError('Option `now` must be a number of milliseconds since 1970.')
  let elapsed = 0
  /** Wall time minus `elapsed`. */
  let wallOffset = wallStart
  /** In the order of their creation, which decides between timers that are due at the same time. */
  const timers = new Map<number, { readonly due: number; readonly fn: () => void }>()
  let lastTimer = 0

  function earliest(): number | undefined {
    let first: number | undefined
    for (const [timer, { due }] of timers) {
      if (first === undefined || due < timers.get(first)!.due) first = timer
    }
    return first
  }

  return {
    now: () => wallOffset + elapsed,
    monotonic: () => elapsed,
    setTimeout(fn, ms) {
      // At least 1 ms, as in Node: a timer that restarts itself must not stop the time.
      timers.set(++lastTimer, { due: elapsed + Math.max(ms, 1), fn })
      return lastTimer
    },
    clearTimeout: (timer) => void timers.delete(timer as number),
    advance(ms) {
      if (!(Number.isFinite(ms) && ms >= 0))
        throw new TypeError('advance() must be given a number of milliseconds from 0.')
      const end = elapsed + ms
      for (let timer = earliest(); timer !== undefined; timer = earliest()) {
        const { due, fn } = timers.get(timer)!
        if (due > end) break
        timers.delete(timer)
        elapsed = due
        fn()
      }
      elapsed = end
    },
    setWallTime(ms) {
      if (!Number.isFinite(ms)) throw new TypeError('setWallTime() must be given a number of milliseconds since 1970.')
      wallOffset = ms - elapsed
    },
    get pendingTimers() {
      return timers.size
    },
  }
}
