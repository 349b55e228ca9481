import { SseError } from '../../errors.ts'
import { LogProblem, unavailableError, unknownOutcomeError } from '../failure.ts'

export { LogProblem }

/** A link ended before it answered. */
export class LinkEnded extends Error {
  constructor(cause: unknown) {
    super('The connection to Redis ended.', { cause })
  }
}

/** The meaning of each error reply for the operator. A command with one of these codes was not executed. */
const MEANINGS: Record<string, string> = {
  BUSY: 'Redis is busy with a script of another program.',
  LOADING: 'Redis is loading its data.',
  MASTERDOWN: 'This Redis is a replica without its master.',
  MISCONF: 'Redis refuses writes because it cannot save its data to the disk.',
  NOAUTH: 'Redis requires a user and a password: give them to the client.',
  NOPERM: 'The user of Redis lacks a right: the README of the Redis broker has the line for its ACL.',
  NOREPLICAS: 'Redis refuses writes because it has too few replicas (min-replicas-to-write).',
  OOM: 'Redis is out of memory (maxmemory).',
  READONLY: 'This Redis is a replica.',
  REPLICA: 'This Redis is a replica.',
  WRONGPASS: 'Redis does not know this user and password.',
}

/** The server is the wrong one, or not ready: another connection may reach the right one. */
const ELSEWHERE = new Set(['LOADING', 'MASTERDOWN', 'READONLY', 'REPLICA'])

/** The code of an error reply; undefined for anything else. */
function codeOf(error: unknown): string | undefined {
  return error instanceof Error ? /^[A-Z]{2,}(?=\s|$)/.exec(error.message)?.[0] : undefined
}

export function isNoScript(error: unknown): boolean {
  return codeOf(error) === 'NOSCRIPT'
}

export function isElsewhere(error: unknown): boolean {
  return ELSEWHERE.has(codeOf(error) ?? '')
}

/** Whether Redis reported that it did nothing. */
export function isRefusal(error: unknown): boolean {
  // A script that was interrupted names another reason inside its message.
  return codeOf(error) !== undefined && codeOf(error)! in MEANINGS && !isScriptError(error)
}

function isScriptError(error: unknown): boolean {
  return error instanceof Error && /\bscript: [0-9a-f]{40}/.test(error.message)
}

/** The broker cannot perform the request, and nothing was kept. */
export function unavailable(error: unknown): SseError {
  return unavailableError(meaningOf(error), error)
}

/** The outcome of a publish is unknown. */
export function unknown(error: unknown): SseError {
  return unknownOutcomeError(meaningOf(error), error)
}

function meaningOf(error: unknown): string {
  if (error instanceof SseError) return error.detail
  if (error instanceof LogProblem) return error.message
  if (error instanceof LinkEnded && error.cause !== undefined) return meaningOf(error.cause)
  return MEANINGS[codeOf(error) ?? ''] ?? 'Redis cannot be reached.'
}

export function closed(): SseError {
  return new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'The broker is closed.')
}
