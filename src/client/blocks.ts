import { createParser } from 'eventsource-parser'
import { ConnectionError } from './error.ts'

/** One dispatched block of an event stream. */
export interface Block {
  /** Its own ID; undefined when it has none. */
  readonly id?: string | undefined
  readonly event?: string | undefined
  readonly data: string
}

/** Turns the bytes of one response into blocks. Returns a function that takes the next bytes and gives what they complete. */
export function blockReader(max: number, onRetry: (ms: number) => void): (bytes: Uint8Array) => Block[] {
  let blocks: Block[] = []
  let tooLarge = false
  /** Whether the last text ended with a CR that was taken for a line end. */
  let cr = false
  const decoder = new TextDecoder()
  const parser = createParser({
    maxBufferSize: max,
    onRetry,
    onEvent: (block) => blocks.push(block),
    onError: ({ type }) => {
      tooLarge ||= type === 'max-buffer-size-exceeded'
    },
  })
  return (bytes) => {
    const text = decoder.decode(bytes, { stream: true })
    if (text) {
      // The parser would hold a last CR back until it knows that no LF follows, and with it the event that it ends.
      const after = cr && text[0] === '\n' ? text.slice(1) : text
      cr = text.endsWith('\r')
      parser.feed(cr ? `${after}\n` : after)
    }
    if (tooLarge) throw new ConnectionError('ERR_SSE_EVENT_TOO_LARGE', `An event is larger than maxEventBytes, ${max}.`)
    const done = blocks
    blocks = []
    return done
  }
}
