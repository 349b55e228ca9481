import { SseError } from '../../../errors.ts'
import { LogProblem, unavailableError, unknownOutcomeError } from '../../failure.ts'
import { DriverMissing, sqliteCode } from './driver.ts'

export { LogProblem }

/** Each result code in words for the operator. Without a path, because a detail may reach clients. */
const MEANINGS: Record<string, string> = {
  BUSY: 'Another program uses the file of the log.',
  CANTOPEN:
    'The file of the log cannot be opened: its folder must exist, and this process must be allowed to write there.',
  CORRUPT: 'The file of the log is damaged: restore a backup.',
  FULL: 'The disk of the log is full.',
  IOERR: 'The disk of the log failed.',
  NOTADB: 'The file of the log is not a SQLite database.',
  READONLY: 'The file of the log is read-only.',
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
  if (error instanceof DriverMissing || error instanceof LogProblem) return error.message
  return MEANINGS[sqliteCode(error) ?? ''] ?? 'The log failed.'
}
