import type { Request } from 'express'
import type { Clock } from '../clock.ts'
import { isSseError, SseError, type SseErrorCode } from '../errors.ts'
import { HOOK_TIME_LIMIT_MS } from '../hub/guard.ts'
import { withinTime } from '../hub/time-limit.ts'
import { show } from '../option.ts'

/**
 * The answer of a `subscribe` hook: exactly `true`, or an object of `until` and `info`, allows; anything else refuses.
 */
export type SubscribeVerdict = boolean | Admitted

export interface Admitted {
  /**
   * The end of the permission: the stream is then closed with `'expired'`, the client reconnects, and the hook runs
   * again. A number is milliseconds since 1970, as from `Date.now()`. A time in the past refuses; `null` and
   * `undefined` mean never.
   */
  until?: Date | number | null | undefined
  /** Becomes `subscription.info`. */
  info?: unknown
}

// A hook may require a narrower request type, such as a request with a user. TypeScript permits that for methods, not
// for functions.
export type SubscribeHook = {
  hook(req: Request, channels: readonly string[]): SubscribeVerdict | Promise<SubscribeVerdict>
}['hook']
export type PublishHook = { hook(req: Request, channel: string): boolean | Promise<boolean> }['hook']

/** The permission that a verdict gives; undefined = none. Throws a TypeError for an `until` that is not a time. */
export function admittedBy(verdict: unknown, clock: Clock): { until?: number; info?: unknown } | undefined {
  if (verdict === true) return {}
  if (!isPlainObject(verdict)) return undefined
  const { until, info } = verdict as Admitted
  if (until === undefined || until === null) return { info }
  const time = until instanceof Date ? until.getTime() : until
  if (typeof time !== 'number' || !Number.isFinite(time)) {
    throw new TypeError(`The \`until\` of a subscribe hook must be a Date, milliseconds or null, got ${show(until)}.`)
  }
  return time <= clock.now() ? undefined : { until: time, info }
}

/** The mistake in an object as a verdict, such as `{ allowed: false }`, an array or an error: it allows nothing. */
export function mistakeIn(verdict: unknown): TypeError | undefined {
  if (typeof verdict !== 'object' || verdict === null) return undefined
  const wanted = 'A subscribe hook must return true, false, or an object of until and info, got'
  if (!isPlainObject(verdict)) return new TypeError(`${wanted} ${show(verdict)}.`)
  const name = Reflect.ownKeys(verdict).find((key) => key !== 'until' && key !== 'info')
  return name === undefined ? undefined : new TypeError(`${wanted} \`${String(name)}\`.`)
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** The answer of a hook. A hook that takes over 10 s counts as overloaded. */
export async function answerOf<T>(clock: Clock, ask: () => T | PromiseLike<T>): Promise<T> {
  const answer = ask()
  if (typeof (answer as PromiseLike<T> | undefined)?.then !== 'function') return answer
  const late = () => new SseError('ERR_SSE_OVERLOADED', 'The permission could not be decided in time. Try again later.')
  return withinTime(clock, HOOK_TIME_LIMIT_MS, answer, late)
}

/** The status of an error that blames the request. */
export function clientStatusOf(error: unknown): number | undefined {
  const { status, statusCode } = (error ?? {}) as { status?: unknown; statusCode?: unknown }
  const code = status ?? statusCode
  return Number.isInteger(code) && (code as number) >= 400 && (code as number) <= 499 ? (code as number) : undefined
}

/** An error of a hook as a refusal, if it has the status of one; a failure is returned as it is. */
export function asRefusal(
  error: unknown,
  code: SseErrorCode & ('ERR_SSE_PUBLISH_FORBIDDEN' | 'ERR_SSE_SUBSCRIBE_FORBIDDEN'),
): unknown {
  const status = clientStatusOf(error)
  if (status === undefined || isSseError(error)) return error
  const { expose, message, headers } = error as { expose?: unknown; message: string; headers?: Record<string, string> }
  return new SseError(code, expose === true ? message : 'The request was refused.', { cause: error, headers, status })
}
