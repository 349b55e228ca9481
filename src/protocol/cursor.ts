/**
 * A position in a log: everything up to and including `seq` of this life of the log was received. One number is a
 * complete position for any number of channels, because the order of `seq` is the order of delivery on every stream.
 */
export interface Cursor {
  /** Names one life of the log; changes whenever a suffix of it may have been lost. 6 characters of `[0-9A-Za-z]`. */
  readonly epoch: string
  /** 0 is the position before the first event. */
  readonly seq: number
}

const EPOCH_LENGTH = 6
const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const CURSOR = /^([0-9A-Za-z]{6})\.(0|[1-9a-z][0-9a-z]{0,10})$/

/** The event ID of a position. Its characters need no CORS preflight, and survive a header and a query unchanged. */
export function formatCursor(cursor: Cursor): string {
  return `${cursor.epoch}.${cursor.seq.toString(36)}`
}

/** The position of an event ID; undefined if it is not an ID of a hub. Strict: one text for each position. */
export function parseCursor(id: string): Cursor | undefined {
  const match = CURSOR.exec(id)
  if (match === null) return undefined
  const seq = Number.parseInt(match[2]!, 36)
  return Number.isSafeInteger(seq) ? { epoch: match[1]!, seq } : undefined
}

export function isSame(one: Cursor, other: Cursor): boolean {
  return one.seq === other.seq && one.epoch === other.epoch
}

/** Whether `one` is a later position than `other` in the same life of the log. */
export function isAhead(one: Cursor, other: Cursor): boolean {
  return one.epoch === other.epoch && one.seq > other.seq
}

/** Whether `one` is at `other`, or at a later position in the same life of the log. */
export function hasReached(one: Cursor, other: Cursor): boolean {
  return one.epoch === other.epoch && one.seq >= other.seq
}

/** A name for a new life of a log: 62^6, so two of them are never the same in practice. */
export function newEpoch(): string {
  let epoch = ''
  while (epoch.length < EPOCH_LENGTH) {
    for (const byte of crypto.getRandomValues(new Uint8Array(16))) {
      // 248 = 4 * 62: bytes from there on would make some characters more likely than others.
      if (byte < 248 && epoch.length < EPOCH_LENGTH) epoch += ALPHABET[byte % 62]
    }
  }
  return epoch
}
