import type { Request } from 'express'
import { SseError, type SseErrorCode } from '../errors.ts'

/**
 * The values of a query parameter as Express and the middleware before this router see them, so that a guard which looks
 * at `req.query`, or rewrites `req.url`, decides on the same values. Where the application has switched the query parser
 * off, they come from the URL itself. Throws `code` for values that are not text.
 */
export function queryValues(req: Request, name: string, code: SseErrorCode): string[] {
  const search = searchOf(req)
  if (search.includes(`${name}[`) || search.includes(`${name}%5B`) || search.includes(`${name}%5b`)) {
    throw new SseError(code, `Brackets are not taken. Repeat the parameter instead: ?${name}=a&${name}=b.`)
  }
  if (typeof req.app?.get('query parser fn') !== 'function') return new URLSearchParams(search).getAll(name)
  const value: unknown = req.query[name]
  if (value === undefined) return []
  // `qs` makes an object of an array that is longer than its limit.
  const values = typeof value === 'object' && value !== null ? Object.values(value) : [value]
  if (values.every((one) => typeof one === 'string')) return values
  throw new SseError(code, `The query parameter ${name} must be text.`)
}

function searchOf(req: Request): string {
  const at = req.url.indexOf('?')
  return at === -1 ? '' : req.url.slice(at + 1)
}
