const CRLF = '\r\n'

/**
 * Encoded text, ready for any number of streams: one event, several joined, or a comment. It is made once and shared,
 * so a write costs neither encoding nor copying. It never changes.
 */
export class Frame {
  /**
   * The text as one chunk of an HTTP/1.1 body: its length in hexadecimal, CRLF, the bytes, CRLF. The chunk is kept
   * instead of the bare bytes, because the bytes are a view into it; the other way round would need a copy.
   */
  readonly chunk: Buffer
  /** Where the bytes begin in `chunk`. */
  readonly #start: number

  private constructor(chunk: Buffer, start: number) {
    this.chunk = chunk
    this.#start = start
  }

  /** `text` must not be empty: a chunk without bytes would end the body. */
  static of(text: string): Frame {
    const length = Buffer.byteLength(text)
    if (length === 0) throw new TypeError('A frame must not be empty.')
    const head = length.toString(16) + CRLF
    // Not from the shared pool: a kept event would keep 8 KiB of the pool with it, including the bytes of events that
    // are not kept.
    const chunk = Buffer.allocUnsafeSlow(head.length + length + 2)
    chunk.write(head, 0, 'latin1')
    chunk.write(text, head.length, 'utf8')
    chunk.write(CRLF, head.length + length, 'latin1')
    return new Frame(chunk, head.length)
  }

  /** Several frames as one, so that they cost a stream a single write. At least one. */
  static join(frames: readonly Frame[]): Frame {
    if (frames.length === 1) return frames[0]!
    let length = 0
    for (const frame of frames) length += frame.length
    if (length === 0) throw new TypeError('A frame must not be empty.')
    const head = length.toString(16) + CRLF
    const chunk = Buffer.allocUnsafe(head.length + length + 2)
    let at = chunk.write(head, 0, 'latin1')
    for (const frame of frames) at += frame.chunk.copy(chunk, at, frame.#start, frame.#start + frame.length)
    chunk.write(CRLF, at, 'latin1')
    return new Frame(chunk, head.length)
  }

  /** The length of the text in bytes. */
  get length(): number {
    return this.chunk.length - this.#start - 2
  }

  /** The bare text, for a body that other code frames. */
  get bytes(): Buffer {
    return this.chunk.subarray(this.#start, this.chunk.length - 2)
  }
}

/** The form of the events of a stream: each as it was published, or wrapped with the name of its channel. */
export type FrameForm = 'plain' | 'envelope'

/** The length of `text` in bytes once it is encoded. */
export function encodedLength(text: string): number {
  return Buffer.byteLength(text)
}
