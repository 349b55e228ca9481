import { parseChannelName } from '../../channel-name.ts'
import { isSseError } from '../../errors.ts'
import { encodeFields } from '../../protocol/encode.ts'
import { parseEventType } from '../../protocol/fields.ts'
import { encodedLength } from '../../protocol/frame.ts'
import type { NewEvent } from '../stored-event.ts'

/** An event of more bytes is set aside, as a POST of it is refused. */
const MAX_BYTES = 1_048_576

/** An entry of the ingest stream is no event. Its message says why. */
export class Malformed extends Error {}

/** The event of an entry of the ingest stream. Throws Malformed. */
export function eventOfEntry(fields: readonly string[]): NewEvent {
  const entry = new Map(fields.flatMap((name, i) => (i % 2 === 0 ? [[name, fields[i + 1] ?? ''] as const] : [])))
  const data = entry.get('data')
  if (data === undefined) throw new Malformed('The field data is missing.')
  const json = entry.get('json') ?? '0'
  if (json !== '0' && json !== '1') throw new Malformed('The field json must be 0 or 1.')
  if (json === '1') parseJson(data)
  const conflationKey = entry.get('key')
  if (conflationKey !== undefined && !/^[^\0]{1,200}$/su.test(conflationKey)) {
    throw new Malformed('The field key must have 1-200 characters without NUL.')
  }
  const idempotencyKey = entry.get('id')
  if (idempotencyKey !== undefined && !/^[\x20-\x7e]{1,200}$/.test(idempotencyKey)) {
    throw new Malformed('The field id must have 1-200 printable ASCII characters.')
  }
  try {
    const channel = parseChannelName(entry.get('channel'))
    const type = entry.get('event')
    const event = type === undefined ? undefined : parseEventType(type)
    const block = encodeFields(event, data)
    const bytes = encodedLength(block)
    if (bytes > MAX_BYTES) throw new Malformed(`An encoded event has at most ${MAX_BYTES} bytes.`)
    return { channel, event, data, json: json === '1', conflationKey, idempotencyKey, fields: block, bytes }
  } catch (error) {
    if (isSseError(error)) throw new Malformed(error.detail)
    throw error
  }
}

function parseJson(text: string): void {
  try {
    JSON.parse(text)
  } catch {
    throw new Malformed('The field data is no JSON, though json is 1.')
  }
}
