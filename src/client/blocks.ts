import { createParser } from 'eventsource-parser'
import { connectionError } from './error.ts'

/** One dispatched block of an event stream. */
export interface Block {
  /** Its own ID; undefined when it has none. */
  readonly id?: string | undefined
  readonly event?: string | undefined
  readonly data: string
}

/** Turns the bytes of one response into blocks: returns a function that takes some, and gives what they complete. */
export function blockReader(maxEventBytes: number, onRetry: (ms: number) => void): (bytes: Uint8Array) => Block[] {
  const blocks: Block[] = []
  /** Characters since the last complete block. */
  let pending = 0
  /** The part of a line that the parser has not got yet: it would look through all of the line again for each part. */
  let held = ''
  /** Whether the last text ended with a CR. */
  let cr = false
  const decoder = new TextDecoder()
  const parser = createParser({ onRetry, onEvent: (block) => blocks.push(block) })
  return (bytes) => {
    let text = decoder.decode(bytes, { stream: true })
    if (text) {
      // The parser would hold a last CR back until it knows that no LF follows, and with it the event that it ends.
      const skip = cr && text[0] === '\n'
      cr = text.endsWith('\r')
      if (skip) text = text.slice(1)
      held += cr ? `${text}\n` : text
      if (/[\r\n]/.test(text)) {
        parser.feed(held)
        held = ''
      }
    }
    pending = blocks.length ? 0 : pending + text.length
    if (pending > maxEventBytes) throw connectionError('ERR_SSE_TOO_LARGE', {}, true)
    return blocks.splice(0)
  }
}
