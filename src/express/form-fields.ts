import { SseError } from '../errors.ts'

/** The fields of a form that belong to an event. */
export interface FormFields {
  readonly data: string
  readonly event: string | undefined
}

/** A field by name, in any encoding that a client may use. Other fields are skipped without decoding their names. */
const DATA = /(?:^|&)(?:d|%64)(?:a|%61)(?:t|%74)(?:a|%61)(?:=([^&]*))?(?=&|$)/g
const EVENT = /(?:^|&)(?:e|%65)(?:v|%76)(?:e|%65)(?:n|%6[Ee])(?:t|%74)(?:=([^&]*))?(?=&|$)/g

/** Reads an `application/x-www-form-urlencoded` text, at a cost that is linear in its length. */
export function parseForm(text: string): FormFields {
  return checked(fields(text, DATA), fields(text, EVENT))
}

/** The fields of an object that an earlier body parser made from a form. */
export function formOfObject(body: object): FormFields {
  const { data, event } = body as { data?: unknown; event?: unknown }
  return checked(list(data), list(event))
}

function list(value: unknown): readonly unknown[] {
  return value === undefined ? [] : [value].flat()
}

/** The values of one field, at most two: the second one already is an error. */
function fields(text: string, field: RegExp): readonly string[] {
  const values: string[] = []
  for (const [, value = ''] of text.matchAll(field)) {
    values.push(new URLSearchParams(`v=${value}`).get('v')!)
    if (values.length > 1) break
  }
  return values
}

function checked(data: readonly unknown[], event: readonly unknown[]): FormFields {
  const [value] = data
  if (data.length !== 1 || typeof value !== 'string') {
    throw new SseError(
      'ERR_SSE_DATA_MISSING',
      'A form needs the field data, once. To send JSON with curl use --json, or -H "Content-Type: application/json".',
    )
  }
  if (event.length > 1) {
    throw new SseError('ERR_SSE_EVENT_TYPE', 'The form field event is given more than once.')
  }
  return { data: value, event: event[0] as string | undefined }
}
