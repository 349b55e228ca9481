import type { Request } from 'express'
import { SseError, type SseErrorCode } from '../errors.ts'

/**
 * The values of a query parameter as Express and the middleware before this router see them. A guard that reads
 * `req.query`, or rewrites `req.url`, then decides on the same values. If the application has switched the query parser
 * off, they are read from the URL itself. Throws `code` for values that are not text.
 */
export function queryValues(req: Request, name: string, code: SseErrorCode): string[] {
  const search = searchOf(req.url)
  if (new RegExp(`(?:^|&)${name}(?:\\[|%5B)`, 'i').test(search)) {
    throw new SseError(code, `Brackets are not allowed. Repeat the parameter instead: ?${name}=a&${name}=b.`)
  }
  const parse: unknown = req.app?.get('query parser fn')
  if (typeof parse !== 'function') return new URLSearchParams(search).getAll(name)
  const value: unknown = routedQuery(req, search, parse as Parse)?.[name]
  if (value === undefined) return []
  // `qs` makes an object from an array that is longer than its limit.
  const values = typeof value === 'object' && value !== null ? Object.values(value) : [value]
  if (values.every((one) => typeof one === 'string')) return values
  throw new SseError(code, `The query parameter ${name} must be text.`)
}

type Parse = (search: string) => Record<string, unknown> | undefined

/**
 * `req.query`, unless a middleware has rewritten `req.url` and the query has not been replaced since: Express 5 parses
 * at each access, and Express 4 once, before the rewrite.
 */
function routedQuery(req: Request, search: string, parse: Parse): Record<string, unknown> | undefined {
  const original = searchOf(req.originalUrl ?? req.url)
  if (search === original) return req.query
  return JSON.stringify(req.query) === JSON.stringify(parse(original)) ? parse(search) : req.query
}

function searchOf(url: string): string {
  const at = url.indexOf('?')
  return at === -1 ? '' : url.slice(at + 1)
}
