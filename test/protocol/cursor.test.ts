import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { formatCursor, newEpoch, parseCursor } from '../../src/protocol/cursor.ts'
import { parseEventId } from '../../src/protocol/fields.ts'

afterEach(() => void vi.restoreAllMocks())

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const epochs = fc.string({ unit: fc.constantFrom(...ALPHABET), minLength: 6, maxLength: 6 })

describe('formatCursor and parseCursor', () => {
  it('are the two ways between a position and an event ID', () => {
    fc.assert(
      fc.property(epochs, fc.maxSafeNat(), (epoch, seq) => {
        const id = formatCursor({ epoch, seq })
        expect(parseEventId(id)).toBe(id)
        expect(parseCursor(id)).toEqual({ epoch, seq })
      }),
    )
    expect(parseCursor('k3f9a2.1z14')).toEqual({ epoch: 'k3f9a2', seq: 92_056 })
    expect(parseCursor('AZaz09.0')).toEqual({ epoch: 'AZaz09', seq: 0 })
  })

  it('take one text for each position and no other', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.stringMatching(/^[0-9A-Za-z]{5,7}\.[0-9A-Za-z]{0,13}$/),
          fc.stringMatching(/^[0-9a-z]{6}\.[1-9a-z][0-9a-z]{9,10}$/),
        ),
        (id) => {
          const cursor = parseCursor(id)
          if (cursor !== undefined) expect(formatCursor(cursor)).toBe(id)
        },
      ),
      { numRuns: 2_000 },
    )
  })

  it.each([
    ['nothing', ''],
    ['no seq', 'abcdef.'],
    ['no dot', 'abcdef1'],
    ['a short epoch', 'abcde.1'],
    ['a long epoch', 'abcdefg.1'],
    ['another character in the epoch', 'abcde-.1'],
    ['a leading zero', 'abcdef.01'],
    ['zeros', 'abcdef.00'],
    ['an uppercase seq', 'abcdef.1Z'],
    ['a minus', 'abcdef.-1'],
    ['a fraction', 'abcdef.1.5'],
    ['a seq that is not a safe integer', `abcdef.${(Number.MAX_SAFE_INTEGER + 1).toString(36)}`],
    ['a seq of 11 digits that is not a safe integer', 'abcdef.zzzzzzzzzzz'],
    ['a seq of 12 digits', 'abcdef.100000000000'],
    ['a leading space', ' abcdef.1'],
    ['a last LF', 'abcdef.1\n'],
    ['two joined', 'abcdef.1, abcdef.2'],
    ['Latin-1', 'abcdéf.1'],
    ['UTF-8 taken for Latin-1', 'abcdÃ©.1'],
    ['another library', '1732200000000-0'],
    ['a last event of the hub', 'hub.finished'],
  ])('refuse %s', (_, id) => {
    expect(parseCursor(id)).toBeUndefined()
  })
})

describe('newEpoch', () => {
  it('is a name of six characters, another one each time', () => {
    const seen = new Set(Array.from({ length: 1_000 }, newEpoch))
    expect(seen.size).toBe(1_000)
    for (const epoch of seen) expect(epoch).toMatch(/^[0-9A-Za-z]{6}$/)
  })

  it('asks for more bytes when too many would make some characters likelier', () => {
    const bytes = [Array(16).fill(255), [0, 247, 61, 62, 248, 10, 36, 5, ...Array(8).fill(0)]]
    vi.spyOn(crypto, 'getRandomValues').mockImplementation((array) => {
      ;(array as unknown as Uint8Array).set(bytes.shift()!)
      return array
    })
    expect(newEpoch()).toBe('0zz0Aa')
  })
})
