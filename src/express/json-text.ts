import { SseError } from '../errors.ts'
import { type DataText, encodeValue } from '../protocol/encode.ts'

/** The deepest nesting of arrays and objects: every common parser can read it without exhausting its stack. */
const MAX_DEPTH = 5_000

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * The data of a JSON text from a client. The text stays as it was sent, but without white space outside strings, so no
 * number is rounded; for a JSON string, the data is its text. Takes ownership of `bytes` and changes them. `what` names
 * the text in the error, ERR_SSE_BODY_MALFORMED. The bytes must be UTF-8.
 */
export function jsonData(bytes: Buffer, what: string): DataText {
  const hasSpace = inspect(bytes, what)
  const text = bytes.toString()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new SseError('ERR_SSE_BODY_MALFORMED', `${what} is not JSON.`)
  }
  return typeof value === 'string' ? encodeValue(value) : { text: hasSpace ? compact(bytes) : text, json: true }
}

/** Whether there is white space outside strings. Throws for a text that is nested too deep, before it is parsed. */
function inspect(bytes: Buffer, what: string): boolean {
  let depth = 0
  let hasSpace = false
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) i = endOfString(bytes, i)
    // '[' and '{', ']' and '}': each pair differs in one bit.
    else if ((byte | 0x20) === 0x7b && ++depth > MAX_DEPTH) {
      throw new SseError('ERR_SSE_BODY_MALFORMED', `${what} is nested too deep: more than ${MAX_DEPTH} levels.`)
    } else if ((byte | 0x20) === 0x7d) depth--
    else if (isJsonSpace(byte)) hasSpace = true
  }
  return hasSpace
}

/** Moves all bytes except white space to the front. Every byte of a character above U+007F is above 0x7f. */
function compact(bytes: Buffer): string {
  let to = 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) {
      const end = endOfString(bytes, i)
      bytes.copyWithin(to, i, end + 1)
      to += end + 1 - i
      i = end
    } else if (!isJsonSpace(byte)) bytes[to++] = byte
  }
  return bytes.toString('utf8', 0, to)
}

/** The index of the quote that ends the string at `start`, or the end of the text. */
function endOfString(bytes: Buffer, start: number): number {
  for (let i = start + 1; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (byte === QUOTE) return i
    if (byte === BACKSLASH) i++
  }
  return bytes.length
}

/** RFC 8259 section 2: no other byte is white space. */
export function isJsonSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}
