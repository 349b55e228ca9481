import { createParser } from 'eventsource-parser'

/** One dispatched block of an event stream. */
export interface Block {
  /** Its own ID; undefined when it has none. */
  readonly id?: string | undefined
  readonly event?: string | undefined
  readonly data: string
  /** It was larger than the limit: its data was skipped. */
  readonly isTooLarge?: boolean
}

/** The number of characters that are kept from the beginning of a block. */
const HEAD = 500

/** Everything up to the last blank line. */
const BLOCKS = /^[\s\S]*(?:\r\n\r?\n|\n\r?\n|\r\r\n?)/

/**
 * Turns the bytes of one response into blocks. Returns a function that accepts bytes and returns the blocks that they
 * complete.
 */
export function blockReader(maxEventBytes: number, onRetry: (ms: number) => void): (bytes: Uint8Array) => Block[] {
  const blocks: Block[] = []
  /** Characters of the block that is incomplete, without comments. */
  let pending = 0
  /** The beginning of that block, without comments: its ID is the last one in it. */
  let head = ''
  /**
   * The part of a line that the parser has not received yet: the parser would search the whole line again for each
   * part.
   */
  let held = ''
  /** Whether the last text ended with a CR. */
  let endsWithCr = false
  /**
   * The rest of a block that is too large is dropped up to its blank line. This is the end of the last text, to find
   * that line.
   */
  let skipped: string | undefined
  const decoder = new TextDecoder()
  const parser = createParser({
    onRetry,
    onEvent: (block) => blocks.push(block),
    onComment: (comment) => {
      pending -= comment.length + 3
    },
  })

  function skip(text: string): string {
    const all = skipped + text
    const blank = /\r\n\r?\n|\n\r?\n|\r\r/.exec(all)
    if (!blank) {
      skipped = all.slice(-3)
      return ''
    }
    skipped = undefined
    blocks.push({ id: [...head.matchAll(/^id: ?(.*)$/gm)].pop()?.[1], data: '', isTooLarge: true })
    head = ''
    return all.slice(blank.index + blank[0].length)
  }

  return (bytes) => {
    let text = decoder.decode(bytes, { stream: true })
    if (text && skipped !== undefined) text = skip(text)
    if (text) {
      // The parser would wait after a final CR to see whether an LF follows, and would delay the event that the CR
      // ends.
      const isCut = endsWithCr && text[0] === '\n'
      endsWithCr = text.endsWith('\r')
      if (isCut) text = text.slice(1)
      held += endsWithCr ? `${text}\n` : text
      const last = (head + text).replace(BLOCKS, '')
      head = last.replace(/^:.*[\r\n]+/gm, '').slice(0, HEAD)
      pending += text.length
      if (/[\r\n]/.test(text)) {
        parser.feed(held)
        held = ''
        if (blocks.length) pending = 0
      }
    }
    if (pending > maxEventBytes) {
      parser.reset()
      held = ''
      pending = 0
      skipped = text.slice(-3)
    }
    return blocks.splice(0)
  }
}
