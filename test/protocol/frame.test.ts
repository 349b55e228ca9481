import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodedLength, Frame } from '../../src/protocol/frame.ts'

/** RFC 9112 section 7.1: the data of a chunk, and the rest after it. */
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
