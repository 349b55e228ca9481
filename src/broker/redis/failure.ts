import { SseError } from '../../errors.ts'

/** What somebody has to mend. Its message says what, without an address: it may reach the wire. */
export class LogProblem extends Error {}

/** A link ended before it answered. */
export class LinkEnded extends Error {
  constructor(cause: unknown) {
    super('The connection to Redis ended.', { cause })
  }
}

/** What each error reply means to somebody who has to mend it. Whatever has one of these codes was not executed. */
const MEANINGS: Record<string, string> = {
  BUSY: 'Redis is busy with a script of another program.',
  LOADING: 'Redis is loading its data.',
  MASTERDOWN: 'This Redis is a replica without its master.',
  MISCONF: 'Redis refuses writes because it cannot save its data to the disk.',
  NOAUTH: 'Redis asks for a user and a password: give them to the client.',
  NOPERM: 'The user of Redis lacks a right: the README of the Redis broker has the line for its ACL.',
  NOREPLICAS: 'Redis refuses writes because it has too few replicas (min-replicas-to-write).',
  OOM: 'Redis is out of memory (maxmemory).',
  READONLY: 'This Redis is a replica.',
  REPLICA: 'This Redis is a replica.',
  WRONGPASS: 'Redis does not know this user and password.',
}

/** The server is not the one to talk to, or not yet: another connection may reach the right one. */
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

/** Whether Redis said that it did nothing. */
export function isRefusal(error: unknown): boolean {
  // A script that was stopped in the middle of its work names another reason inside of its message.
  return codeOf(error) !== undefined && codeOf(error)! in MEANINGS && !isScriptError(error)
}

function isScriptError(error: unknown): boolean {
  return error instanceof Error && /\bscript: [0-9a-f]{40}/.test(error.message)
}

/** The broker cannot do what it was asked for, and nothing was kept. */
export function unavailable(error: unknown): SseError {
  return new SseError('ERR_SSE_BROKER_UNAVAILABLE', meaningOf(error), { cause: error })
}

/** What was published may have been kept or not. */
export function unknown(error: unknown): SseError {
  const detail = `${meaningOf(error)} Whether the event was kept is not known: publish it again with the same key.`
  return new SseError('ERR_SSE_PUBLISH_UNKNOWN', detail, { cause: error })
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
