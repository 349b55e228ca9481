import { createParser, type EventSourceMessage } from 'eventsource-parser'

/** What a client made of an event stream. */
export interface Parsed {
  readonly events: EventSourceMessage[]
  readonly comments: string[]
  readonly retries: number[]
  /** Fields that no client knows, and malformed ones. */
  readonly errors: string[]
}

/** Parses a whole event stream with a parser that is not ours, in pieces of the given lengths, decoded as a browser does. */
export function parseEventStream(bytes: Uint8Array | string, lengths: readonly number[] = []): Parsed {
  const parsed: Parsed = { events: [], comments: [], retries: [], errors: [] }
  const parser = createParser({
    onEvent: (event) => parsed.events.push(event),
    onComment: (comment) => parsed.comments.push(comment),
    onRetry: (ms) => parsed.retries.push(ms),
    onError: (error) => parsed.errors.push(error.message),
  })
  // [spec] #sse-processing-model: "UTF-8 decode" takes one leading BOM away and keeps every other.
  const decoder = new TextDecoder('utf-8')
  const all = typeof bytes === 'string' ? Buffer.from(bytes) : bytes
  let at = 0
  for (const length of [...lengths, all.length]) {
    parser.feed(decoder.decode(all.subarray(at, at + length), { stream: true }))
    at += length
    if (at >= all.length) break
  }
  parser.feed(decoder.decode())
  return parsed
}
