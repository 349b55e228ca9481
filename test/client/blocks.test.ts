import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Block, blockReader } from '../../src/client/blocks.ts'

const encoder = new TextEncoder()
const NO_LIMIT = 1_000_000

/** The blocks of a text that arrives in pieces. */
function read(pieces: readonly (string | Uint8Array)[], maxEventBytes = NO_LIMIT): Block[] {
  const take = blockReader(maxEventBytes, () => {})
  return pieces.flatMap((piece) => take(typeof piece === 'string' ? encoder.encode(piece) : piece))
}

/** [spec] #event-stream-interpretation, on the whole text at once. */
function reference(text: string): [lastEventId: string, event: string | undefined, data: string][] {
  const events: [string, string | undefined, string][] = []
  let [id, event, data] = ['', '', '']
  const lines = text.replace(/^\ufeff/, '').split(/\r\n|\n|\r/)
  for (const line of lines.slice(0, -1)) {
    const colon = line.indexOf(':')
    const field = colon === -1 ? line : line.slice(0, colon)
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (line === '') {
      if (data !== '') events.push([id, event || undefined, data.slice(0, -1)])
      ;[event, data] = ['', '']
    } else if (field === 'event') event = value
    else if (field === 'data') data += `${value}\n`
    else if (field === 'id' && !value.includes('\0')) id = value
  }
  return events
}

describe('blockReader()', () => {
  const end = fc.constantFrom('\n', '\r', '\r\n')
  const line = fc.oneof(
    fc.constant(''),
    fc.tuple(
      fc.constantFrom('data', 'event', 'id', '', 'retry', 'dat', 'data ', '\ufeffdata'),
      fc.constantFrom(':', ': ', ':  ', ''),
      fc.oneof(fc.string({ maxLength: 5 }), fc.constantFrom('a\0b', '\u2028', 'é€😀', 'x:y')),
    ),
  )
  const text = fc
    .array(fc.tuple(line, end), { maxLength: 25 })
    .map((lines) =>
      lines.map(([line, end]) => (line === '' ? '' : line.join('').replace(/[\r\n]/g, '')) + end).join(''),
    )

  it('reads what the standard says, wherever the bytes are cut', () => {
    fc.assert(
      fc.property(text, fc.array(fc.nat(400), { maxLength: 12 }), (text, cuts) => {
        const bytes = encoder.encode(text)
        const at = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
        const pieces = at.slice(1).map((to, i) => bytes.subarray(at[i], to))
        let position = ''
        const events = read(pieces).map(({ id = position, event, data }) => {
          position = id
          return [id, event, data]
        })
        expect(events).toEqual(reference(text))
      }),
      { numRuns: 2_000 },
    )
  })

  it('skips an incomplete block of more than maxEventBytes characters, and keeps its ID', () => {
    const big = 'x'.repeat(50)
    const tooLarge = (id?: string) => ({ id, data: '', isTooLarge: true })
    const next = { id: undefined, event: undefined, data: 'a' }
    expect(read([`id: 1\ndata: ${big}`, `${big}\n\ndata: a\n\n`], 80)).toHaveLength(2)
    expect(read([`id: 1\ndata: ${big}`, big, `${big}\n\ndata: a\n\n`], 80)).toEqual([tooLarge('1'), next])
    expect(read([`data: ${big}\n`, `data: ${big}`, '\n', 'id: 2\n\ndata: a\n\n'], 80)).toEqual([tooLarge('2'), next])
    expect(read([`data: ${big}${big}`, '\r', '\n\r', '\n', 'data: a\n\n'], 80)).toEqual([tooLarge(), next])
  })

  it('counts no comments, complete or not', () => {
    const comment = `: ${'x'.repeat(50)}`
    const pieces = ['data: a\n', comment, comment, comment, comment, '\n', `${comment}\n`, `${comment}\n\n`]
    expect(read(pieces, 80)).toEqual([{ id: undefined, event: undefined, data: 'a' }])
  })

  it('takes time in proportion to a line that arrives in small parts', () => {
    const part = encoder.encode('x'.repeat(16))
    const take = blockReader(8_000_000, () => {})
    take(encoder.encode('data: '))
    for (let i = 0; i < 200_000; i++) take(part)
    expect(take(encoder.encode('\n\n'))[0]!.data).toHaveLength(3_200_000)
  })
})
