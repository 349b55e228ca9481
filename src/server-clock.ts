import { AsyncResource } from 'node:async_hooks'
import { type Clock, clockOption, systemClock } from './clock.ts'

/** Made when this module is loaded, outside any request. */
const outside = new AsyncResource('express-sse-hub')

/**
 * The system's time, with timers that belong to no request. A timer keeps the `AsyncLocalStorage` of the code that
 * starts it. A timer that all streams share would keep the store of the first request alive, and run in it.
 */
const serverClock: Clock = {
  ...systemClock,
  setTimeout: (fn, ms) => outside.runInAsyncScope(() => systemClock.setTimeout(fn, ms)),
}

/** The option `clock` on a server: a `Clock`, or the system's. */
export function serverClockOption(clock: Clock | undefined): Clock {
  return clock === undefined || clock === systemClock ? serverClock : clockOption(clock)
}

/** `fn`, bound to the current async context: it runs in this context for every caller. */
export function inThisContext<F extends (...args: never[]) => unknown>(fn: F): F {
  return AsyncResource.bind(fn as never) as unknown as F
}

/** Read when this module is loaded: a test that replaces `setImmediate` must not stop the hub. */
export const { setImmediate: nextTurn } = globalThis
