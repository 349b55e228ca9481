/** What every event carries: `|#n=0000000042|`, and `x` up to the size that was asked for. */
export const MARK_BYTES = 15
const DIGITS_AT = 4
const DIGITS = 10
const BAR = 0x7c
const ZERO = 0x30
const NINE = 0x39

export function payload(n: number, size: number): string {
  return `|#n=${String(n).padStart(DIGITS, '0')}|`.padEnd(size, 'x')
}

/** Writes another number over that of a payload which starts at `at`. */
export function renumber(bytes: Buffer, at: number, n: number): void {
  for (let i = DIGITS - 1, rest = n; i >= 0; i--, rest = Math.floor(rest / 10)) {
    bytes[at + DIGITS_AT + i] = ZERO + (rest % 10)
  }
}

/** The number of the mark at `at`, or -1 without a mark. */
function numberAt(bytes: Buffer, at: number): number {
  if (bytes[at] !== BAR || bytes[at + 1] !== 0x23 || bytes[at + 2] !== 0x6e || bytes[at + 3] !== 0x3d) return -1
  let n = 0
  for (let i = at + DIGITS_AT; i < at + DIGITS_AT + DIGITS; i++) {
    const digit = bytes[i]!
    if (digit < ZERO || digit > NINE) return -1
    n = n * 10 + digit - ZERO
  }
  return bytes[at + MARK_BYTES - 1] === BAR ? n : -1
}

/**
 * Finds the marks in the bytes of one connection, across any packets of TCP. The client shares the machine with the
 * server, so it decodes and allocates nothing: it skips the padding after a mark, and reads only the few bytes up to
 * the next one. It never skips more than one event, so no mark is missed.
 */
export class MarkScanner {
  readonly #padding: number
  readonly #found: (n: number) => void
  /** Bytes of padding that are still to come. */
  #skip = 0
  /** The beginning of a mark that was cut. */
  #carry: Buffer | undefined

  constructor(size: number, found: (n: number) => void) {
    this.#padding = size - MARK_BYTES
    this.#found = found
  }

  /** Takes the first `length` bytes. They are not kept. */
  scan(bytes: Buffer, length: number): void {
    if (this.#carry !== undefined) this.#mend(bytes, length)
    let at = this.#skip
    this.#skip = 0
    const whole = length - MARK_BYTES
    for (; at <= whole; at++) {
      if (bytes[at] !== BAR) continue
      const n = numberAt(bytes, at)
      if (n === -1) continue
      this.#found(n)
      at += MARK_BYTES + this.#padding - 1
    }
    for (; at < length; at++) {
      if (bytes[at] !== BAR) continue
      this.#carry = Buffer.from(bytes.subarray(at, length))
      return
    }
    this.#skip = at - length
  }

  /** Joins the bytes that were carried over with enough bytes for one mark; afterwards `#skip` is the place to continue. */
  #mend(bytes: Buffer, length: number): void {
    const carry = this.#carry!
    const joint = Buffer.concat([carry, bytes.subarray(0, Math.min(length, MARK_BYTES - 1))])
    this.#carry = undefined
    this.#skip = 0
    for (let at = 0; at < carry.length; at++) {
      if (joint[at] !== BAR) continue
      if (joint.length - at < MARK_BYTES) {
        // All of these bytes were not enough, so none of them is left.
        this.#carry = joint.subarray(at)
        this.#skip = length
        return
      }
      const n = numberAt(joint, at)
      if (n === -1) continue
      this.#found(n)
      this.#skip = at + MARK_BYTES - carry.length + this.#padding
      return
    }
  }
}
