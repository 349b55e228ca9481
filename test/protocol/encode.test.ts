import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  encodeComment,
  encodeEnvelope,
  encodeFields,
  encodeId,
  encodeReconnectionTime,
  encodeValue,
} from '../../src/protocol/encode.ts'
import { parseEventId, parseEventType, parseReconnectionTime } from '../../src/protocol/fields.ts'
import { Frame } from '../../src/protocol/frame.ts'
import { parseEventStream } from '../support/parse-event-stream.ts'

/** Text of everything that has ever broken an encoder. */
const awkwardText = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        '\r',
        '\n',
        '\r\n',
        '\n\n',
        '\0',
        ':',
        ' ',
        '\t',
        '\v',
        '\f',
        '\u0085',
        '\u2028',
        '\u2029',
        '\uFEFF',
      ),
      fc.constantFrom('\uD800', '\uDC00', '😀', '€', 'é', 'data: x', 'event: x', 'id: 1', 'retry: 1', ''),
      fc.string({ unit: 'binary', maxLength: 5 }),
    ),
    { maxLength: 30 },
  )
  .map((parts) => parts.join(''))

const mostlyId = fc.oneof(awkwardText, { weight: 4, arbitrary: fc.stringMatching(/^[\x21-\x7e]{1,20}$/) })

const lengths = fc.array(fc.integer({ min: 1, max: 7 }), { maxLength: 200 })

/** What comes out of a stream for `text`: newlines are all the same there, and lone surrogates have no UTF-8. */
const asReceived = (text: string): string => text.replace(/\r\n|\r/g, '\n').toWellFormed()

describe('encodeFields', () => {
  it.each([
    ['one line', 'a', 'data: a\n\n'],
    ['no characters', '', 'data: \n\n'],
    ['LF', 'a\nb', 'data: a\ndata: b\n\n'],
    ['CR', 'a\rb', 'data: a\ndata: b\n\n'],
    ['CRLF', 'a\r\nb', 'data: a\ndata: b\n\n'],
    ['LF CR, which are two', 'a\n\rb', 'data: a\ndata: \ndata: b\n\n'],
    ['blank lines', 'a\n\nb\n', 'data: a\ndata: \ndata: b\ndata: \n\n'],
    ['a leading space', ' a', 'data:  a\n\n'],
    ['a colon', ':a', 'data: :a\n\n'],
    ['what ends lines elsewhere', 'a\u2028b\u2029c\u0085d\ve\ff', 'data: a\u2028b\u2029c\u0085d\ve\ff\n\n'],
    ['a BOM', '\uFEFFa', 'data: \uFEFFa\n\n'],
  ])('writes data with %s', (_, data, text) => {
    expect(encodeFields(undefined, data)).toBe(text)
  })

  it('writes the type first', () => {
    expect(encodeFields(parseEventType('tick'), 'a\nb')).toBe('event: tick\ndata: a\ndata: b\n\n')
  })

  it.each([
    ['a whole event after LF', 'x\n\nevent: evil\ndata: y'],
    ['a whole event after CR', 'x\r\revent: evil\rdata: y'],
    ['a whole event after CRLF', 'x\r\n\r\nevent: evil\r\ndata: y'],
    ['an id', 'x\nid: 666'],
    ['a retry', 'x\nretry: 1'],
    ['a comment', 'x\n: c'],
  ])('keeps %s inside the data', (_, data) => {
    const { events, retries, comments } = parseEventStream(encodeFields(undefined, data))
    expect(events).toEqual([{ event: undefined, id: undefined, data: asReceived(data) }])
    expect([retries, comments]).toEqual([[], []])
  })

  it('brings any data through any split of its bytes', () => {
    fc.assert(
      fc.property(fc.array(awkwardText, { minLength: 1, maxLength: 5 }), lengths, (texts, split) => {
        const bytes = Frame.join(texts.map((text) => Frame.of(encodeFields(undefined, text)))).bytes
        const { events, errors } = parseEventStream(bytes, split)
        expect(events.map(({ data }) => data)).toEqual(texts.map(asReceived))
        expect(errors).toEqual([])
      }),
      { numRuns: 500 },
    )
  })

  it('brings 100 KB lines through', () => {
    const data = `${'x€'.repeat(25_000)}\r${'😀'.repeat(25_000)}\r\n\uFEFF`
    const { events } = parseEventStream(Frame.of(encodeFields(undefined, data)).bytes, [1, 65_537, 2, 99_999, 3])
    expect(events).toEqual([{ event: undefined, id: undefined, data: asReceived(data) }])
  })

  it('brings type, ID and data through together, or refuses before anything is written', () => {
    fc.assert(
      fc.property(awkwardText, mostlyId, awkwardText, lengths, (event, id, data, split) => {
        let text: string
        try {
          text = encodeId(parseEventId(id)) + encodeFields(parseEventType(event), data)
        } catch {
          return
        }
        const { events, errors, comments, retries } = parseEventStream(Frame.of(text).bytes, split)
        expect(events).toEqual([{ event: event.toWellFormed(), id, data: asReceived(data) }])
        expect([errors, comments, retries]).toEqual([[], [], []])
      }),
      { numRuns: 500 },
    )
  })

  it('can never make a second event, whatever the type, ID, reconnection time or comment', () => {
    const attack = fc.oneof(awkwardText, fc.anything())
    const attempt = (encode: () => string): string => {
      try {
        return encode()
      } catch {
        return ''
      }
    }
    fc.assert(
      fc.property(attack, attack, attack, awkwardText, (event, id, retry, comment) => {
        const text =
          encodeComment(comment) +
          attempt(() => encodeReconnectionTime(parseReconnectionTime(retry))) +
          attempt(() => encodeId(parseEventId(id))) +
          (attempt(() => encodeFields(parseEventType(event), 'only')) || encodeFields(undefined, 'only'))
        const { events, errors } = parseEventStream(text)
        expect(events.map(({ data }) => data)).toEqual(['only'])
        expect(errors).toEqual([])
      }),
      { numRuns: 500 },
    )
  })
})

describe('encodeComment', () => {
  it.each([
    ['', ':\n'],
    ['hi', ': hi\n'],
    ['a\nb', ': a\n: b\n'],
    ['a\rdata: x\r\revent: y', ': a\n: data: x\n: \n: event: y\n'],
    ['a\r\nb', ': a\n: b\n'],
    ['\n', ': \n: \n'],
  ])('%j', (text, encoded) => {
    expect(encodeComment(text)).toBe(encoded)
    expect(parseEventStream(`${encoded}\n`).events).toEqual([])
  })
})

describe('encodeReconnectionTime', () => {
  it('takes effect without a blank line', () => {
    const text = encodeReconnectionTime(parseReconnectionTime(1234))
    expect(text).toBe('retry: 1234\n')
    expect(parseEventStream(text).retries).toEqual([1234])
  })
})

describe('encodeValue', () => {
  it.each([
    ['text', { text: 'text', json: false }],
    ['', { text: '', json: false }],
    [5, { text: '5', json: true }],
    [0, { text: '0', json: true }],
    [false, { text: 'false', json: true }],
    [null, { text: 'null', json: true }],
    [[1, 'a'], { text: '[1,"a"]', json: true }],
    [
      { a: 1, gone: undefined },
      { text: '{"a":1}', json: true },
    ],
    [new Date(0), { text: '"1970-01-01T00:00:00.000Z"', json: true }],
  ])('%j', (value, text) => {
    expect(encodeValue(value)).toEqual(text)
  })

  const cycle: unknown[] = []
  cycle.push(cycle)

  it.each([
    ['undefined', undefined, 'undefined'],
    ['a function', () => {}, 'a function'],
    ['a symbol', Symbol('x'), 'a symbol'],
    ['an object without JSON', { toJSON: (): unknown => undefined }, 'an object'],
    ['a BigInt', 1n, 'BigInt'],
    ['a BigInt inside', { n: 1n }, 'BigInt'],
    ['a cycle', cycle, 'circular'],
    ['a promise', Promise.resolve(1), 'await'],
    ['a Map', new Map([[1, 2]]), 'Map'],
    ['a Set', new Set([1]), 'Set'],
    ['a Buffer', Buffer.from('x'), 'base64'],
    ['a typed array', new Uint8Array(1), 'base64'],
    ['an ArrayBuffer', new ArrayBuffer(1), 'base64'],
    ['a DataView', new DataView(new ArrayBuffer(1)), 'base64'],
  ])('refuses %s', (_, value, names) => {
    expect(() => encodeValue(value)).toThrow(TypeError)
    expect(() => encodeValue(value)).toThrow(names)
  })
})

describe('encodeEnvelope', () => {
  it('comes out of JSON.parse as it went in', () => {
    fc.assert(
      fc.property(fc.string(), fc.option(awkwardText, { nil: undefined }), awkwardText, (channel, event, data) => {
        expect(JSON.parse(encodeEnvelope(channel, event, data, false))).toEqual({
          channel,
          ...(event === undefined ? {} : { event }),
          data,
        })
      }),
    )
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const { text, json } = encodeValue(typeof value === 'string' ? [value] : value)
        expect(JSON.parse(encodeEnvelope('c', undefined, text, json))).toEqual({ channel: 'c', data: JSON.parse(text) })
      }),
    )
  })

  it('distinguishes text from JSON', () => {
    expect(encodeEnvelope('a', 'tick', '5', false)).toBe('{"channel":"a","event":"tick","data":"5"}')
    expect(encodeEnvelope('a', undefined, '5', true)).toBe('{"channel":"a","data":5}')
  })
})
