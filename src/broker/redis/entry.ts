import { encodeFields } from '../../protocol/encode.ts'
import type { EventType } from '../../protocol/fields.ts'
import { encodedLength } from '../../protocol/frame.ts'
import { type NewEvent, StoredEvent } from '../stored-event.ts'

// How an event is kept in a list and published:
//   seq prev time kind TAB type TAB key LF data
// The kind is `j` for JSON and `t` for text; type and key are JSON texts or empty. A reader ignores fields that follow.

/** The entry of an event from its kind on: the fields before it are known only when it is appended. */
export function encodeEntry({ json, event, conflationKey, data }: NewEvent): string {
  const type = event === undefined ? '' : JSON.stringify(event)
  const key = conflationKey === undefined ? '' : JSON.stringify(conflationKey)
  return `${json ? 'j' : 't'}\t${type}\t${key}\n${data}`
}

/** The event of an entry that begins at `at`. */
export function decodeEntry(text: string, at: number, epoch: string, channel: string): StoredEvent {
  const afterSeq = text.indexOf(' ', at)
  const afterPrev = text.indexOf(' ', afterSeq + 1)
  const kind = text.indexOf(' ', afterPrev + 1) + 1
  const seq = Number(text.slice(at, afterSeq))
  const prev = Number(text.slice(afterSeq + 1, afterPrev))
  let type: EventType | undefined
  let conflationKey: string | undefined
  let start = kind + 3
  // Most events have neither.
  if (text[kind + 2] === '\t' && text[start] === '\n') start++
  else {
    const end = text.indexOf('\n', kind)
    const [, first = '', second = ''] = text.slice(kind, end).split('\t')
    if (first !== '') type = JSON.parse(first)
    if (second !== '') conflationKey = JSON.parse(second)
    start = end + 1
  }
  const data = text.slice(start)
  const fields = encodeFields(type, data)
  const event = {
    channel,
    event: type,
    data,
    json: text[kind] === 'j',
    conflationKey,
    idempotencyKey: undefined,
    fields,
    bytes: encodedLength(fields),
  }
  return new StoredEvent(event, epoch, seq, prev)
}

/** The `seq` of an entry, and that of the event before it. */
export function placeOf(entry: string): { seq: number; prev: number } {
  const afterSeq = entry.indexOf(' ')
  return {
    seq: Number(entry.slice(0, afterSeq)),
    prev: Number(entry.slice(afterSeq + 1, entry.indexOf(' ', afterSeq + 1))),
  }
}

/** A message: `epoch channel` LF and the entry. More fields may follow in its first line. */
export interface Message {
  readonly epoch: string
  readonly channel: string
  readonly seq: number
  /** The log did not know the name before this batch: the `prev` of its event belongs to another channel. */
  readonly isNew: boolean
  /** Where the entry begins. */
  readonly at: number
}

export function decodeMessage(text: string): Message {
  const end = text.indexOf('\n')
  const space = text.indexOf(' ', 7)
  const at = end + 1
  const hasMore = space !== -1 && space < end
  return {
    epoch: text.slice(0, 6),
    channel: text.slice(7, hasMore ? space : end),
    seq: Number(text.slice(at, text.indexOf(' ', at))),
    isNew: hasMore && text[space + 1] === 'n',
    at,
  }
}
