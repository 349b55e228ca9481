import { SseError } from '../errors.ts'
import type { DataText } from '../protocol/encode.ts'

/** A string, which is kept as it is, or white space, which JSON allows between anything else. */
const STRING_OR_SPACE = /"(?:[^"\\]|\\.)*"|[ \t\n\r]+/g

/**
 * JSON as the data of an event: its own text without the white space outside of strings, so that numbers of any size and
 * precision arrive as they were sent; a JSON string as its text. Throws ERR_SSE_BODY_MALFORMED for anything but JSON.
 */
export function jsonText(source: string, what: string): DataText {
  let value: unknown
  try {
    value = JSON.parse(source)
  } catch {
    throw new SseError('ERR_SSE_BODY_MALFORMED', `${what} is not JSON.`)
  }
  if (typeof value === 'string') return { text: value.toWellFormed(), json: false }
  return { text: source.replace(STRING_OR_SPACE, (part) => (part[0] === '"' ? part : '')), json: true }
}
