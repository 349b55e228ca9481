import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeFields } from '../../src/protocol/encode.ts'
import { EventFrame, encodedLength, Frame, type FrameSource } from '../../src/protocol/frame.ts'
import { parseEventStream } from '../support/parse-event-stream.ts'

/** RFC 9112 section 7.1: the data of a chunk, and what is left after it. */
function readChunk(body: Buffer): { data: Buffer; rest: Buffer } {
  const end = body.indexOf('\r\n')
  const size = body.subarray(0, end).toString('latin1')
  expect(size).toMatch(/^[1-9a-f][0-9a-f]*$/)
  const from = end + 2
  const to = from + Number.parseInt(size, 16)
  expect(body.subarray(to, to + 2).toString('latin1')).toBe('\r\n')
  return { data: body.subarray(from, to), rest: body.subarray(to + 2) }
}

const texts = fc.string({ unit: 'binary', minLength: 1, maxLength: 2_000 })

describe('Frame', () => {
  it('is a chunk of an HTTP/1.1 body with the text in UTF-8', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const frame = Frame.of(text)
        const { data, rest } = readChunk(frame.chunk)
        expect(data.equals(Buffer.from(text))).toBe(true)
        expect(rest.length).toBe(0)
        expect(frame.bytes.equals(data)).toBe(true)
        expect(frame.length).toBe(data.length)
        expect(encodedLength(text)).toBe(data.length)
      }),
    )
  })

  it.each([1, 15, 16, 255, 256, 4_095, 4_096, 65_536])('has the right size at %d bytes', (length) => {
    expect(readChunk(Frame.of('x'.repeat(length)).chunk).data.length).toBe(length)
  })

  it('has bytes that are a view into the chunk', () => {
    const { bytes, chunk } = Frame.of('abc')
    expect(bytes.buffer).toBe(chunk.buffer)
  })

  it('writes a lone surrogate as U+FFFD', () => {
    expect(Frame.of('a\uD800b').bytes.toString()).toBe('a\uFFFDb')
  })

  it('is never empty, which would end the body', () => {
    expect(() => Frame.of('')).toThrow(TypeError)
    expect(() => Frame.join([])).toThrow(TypeError)
  })

  it('joins several into one chunk in their order', () => {
    fc.assert(
      fc.property(fc.array(texts, { minLength: 1, maxLength: 20 }), (parts) => {
        const frame = Frame.join(parts.map((text) => Frame.of(text)))
        const { data, rest } = readChunk(frame.chunk)
        expect(data.equals(Buffer.concat(parts.map((text) => Buffer.from(text))))).toBe(true)
        expect(rest.length).toBe(0)
        expect(frame.bytes.equals(data)).toBe(true)
      }),
    )
  })

  it('joins one by handing it back', () => {
    const frame = Frame.of('x')
    expect(Frame.join([frame])).toBe(frame)
  })
})

describe('EventFrame', () => {
  const source: FrameSource = {
    channel: 'news',
    event: 'tick',
    data: '{"a":\n1}',
    json: true,
    fields: encodeFields('tick' as never, '{"a":\n1}'),
  }

  it('is the event as it was published, or wrapped with its channel', () => {
    const frame = new EventFrame('abcdef.1', source)
    expect(frame.as('plain').bytes.toString()).toBe('id: abcdef.1\nevent: tick\ndata: {"a":\ndata: 1}\n\n')
    const { events } = parseEventStream(frame.as('envelope').bytes)
    expect(events).toMatchObject([{ id: 'abcdef.1', event: undefined }])
    expect(JSON.parse(events[0]!.data)).toEqual({ channel: 'news', event: 'tick', data: { a: 1 } })
  })

  it('is made at most once in each form', () => {
    const frame = new EventFrame('abcdef.1', source)
    expect(frame.plain).toBe(frame.as('plain'))
    expect(frame.envelope).toBe(frame.as('envelope'))
    expect(frame.plain).not.toBe(frame.envelope)
  })
})
