import { SseError } from '../errors.ts'

/** A problem that the operator must fix. The message may reach clients, so it contains neither a path nor an address. */
export class LogProblem extends Error {}

/** The broker cannot perform the request, and nothing was kept. `meaning`: a sentence that clients may read. */
export function unavailableError(meaning: string, cause: unknown): SseError {
  return new SseError('ERR_SSE_BROKER_UNAVAILABLE', meaning, { cause })
}

/** The outcome of a publish is unknown. */
export function unknownOutcomeError(meaning: string, cause: unknown): SseError {
  const detail = `${meaning} The event may have been kept or not: publish it again with the same key.`
  return new SseError('ERR_SSE_PUBLISH_UNKNOWN', detail, { cause })
}
