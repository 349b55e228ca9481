/** One dispatched block of an event stream. */
export interface Block {
  /** Its own ID; undefined when it has none. */
  readonly id?: string | undefined
  readonly event?: string | undefined
  readonly data: string
  /** It was larger than the limit: its data was skipped. */
  readonly isTooLarge?: boolean
}

/** Characters of an incomplete line that are kept of a block that is too large: the line may be an ID. */
const LINE_START = 500

/**
 * Turns the bytes of one response into blocks: returns a function that takes some, and returns the blocks that they
 * complete. A block of which more than `maxEventBytes` characters have come while it is incomplete is skipped. Comments do
 * not count, and are not kept.
 *
 * [spec] https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function blockReader(maxEventBytes: number, onRetry: (ms: number) => void): (bytes: Uint8Array) => Block[] {
  const decoder = new TextDecoder()
  /** The line that is incomplete. Its characters are not looked at before its end, or each part would cost all of it. */
  let line = ''
  /** The last text ended with a CR: the line is complete, and an LF that follows belongs to it. */
  let endsWithCr = false
  // The block that is incomplete.
  let id: string | undefined
  let event: string | undefined
  let data: string | undefined
  let size = 0
  let isTooLarge = false

  function take(line: string): void {
    const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line)!
    if (field) size += line.length
    if (field === 'data' && !isTooLarge) data = data === undefined ? value! : `${data}\n${value}`
    if (field === 'event') event = value || undefined
    if (field === 'id' && !value!.includes('\0')) id = value
    if (field === 'retry' && /^\d+$/.test(value!)) onRetry(+value!)
  }

  return (bytes) => {
    const blocks: Block[] = []
    let text = decoder.decode(bytes, { stream: true })
    // A part of a character.
    if (!text) return blocks
    const isRestOfEnd = endsWithCr && text[0] === '\n'
    endsWithCr = text.endsWith('\r')
    if (isRestOfEnd) text = text.slice(1)
    const lines = text.split(/\r\n|\n|\r/)
    lines[0] = line + lines[0]
    line = lines.pop()!
    for (const line of lines) {
      if (line) {
        take(line)
        continue
      }
      if (isTooLarge) blocks.push({ id, data: '', isTooLarge })
      else if (data !== undefined) blocks.push({ id, event, data })
      // The ID of a block without data is that of the next one.
      if (isTooLarge || data !== undefined) id = undefined
      event = data = undefined
      size = 0
      isTooLarge = false
    }
    if (size + line.length > maxEventBytes) {
      if (line[0] !== ':') {
        isTooLarge = true
        data = undefined
      }
      line = line.slice(0, LINE_START)
    }
    return blocks
  }
}
