import { afterEach, describe, expect, it, vi } from 'vitest'
import type { SseErrorCode } from '../../src/errors.ts'
import {
  parseEventId,
  parseEventType,
  parseReconnectionTime,
  randomReconnectionTime,
} from '../../src/protocol/fields.ts'

afterEach(() => void vi.restoreAllMocks())

const withCode = (code: SseErrorCode) => expect.objectContaining({ code, status: 400 })

describe('parseEventId', () => {
  it.each(['1', 'k3f9a2.1z14', '!~', 'a:b@c', 'x'.repeat(128)])('takes %j', (id) => {
    expect(parseEventId(id)).toBe(id)
  })

  it.each([
    ['no characters', ''],
    ['too many characters', 'x'.repeat(129)],
    ['LF', '1\ndata: x'],
    ['CR', '1\rdata: x'],
    ['a last LF', '1\n'],
    ['NUL', '1\x002'],
    ['a space', '1 2'],
    ['an outer space', ' 1'],
    ['a tab', '1\t'],
    ['DEL', '\x7f'],
    ['Latin-1', 'é'],
    ['a BOM', '\uFEFF1'],
    ['an emoji', '😀'],
    ['a lone surrogate', '\uD800'],
    ['a number', 1],
    ['null', null],
    ['an array', ['1']],
  ])('refuses %s', (_, id) => {
    expect(() => parseEventId(id)).toThrow(withCode('ERR_SSE_EVENT_ID'))
  })
})

describe('parseEventType', () => {
  it.each(['tick', 'message', 'a b', ' a', ':', 'é😀', 'opened', 'Error', 'hub', 'hubs.x'])('takes %j', (type) => {
    expect(parseEventType(type)).toBe(type)
  })

  it.each([
    ['no characters', ''],
    ['LF', 'a\ndata: x'],
    ['CR', 'a\rdata: x'],
    ['NUL', 'a\0'],
    ['open', 'open'],
    ['error', 'error'],
    ['the prefix of the hub', 'hub.open'],
    ['the prefix alone', 'hub.'],
    ['a number', 5],
    ['an object', { toString: () => 'a' }],
  ])('refuses %s', (_, type) => {
    expect(() => parseEventType(type)).toThrow(withCode('ERR_SSE_EVENT_TYPE'))
  })
})

describe('parseReconnectionTime', () => {
  it.each([
    [500, 500],
    [1234, 1234],
    [3_600_000, 3_600_000],
    [0, 500],
    [-1, 500],
    [499, 500],
    [3_600_001, 3_600_000],
    [Number.MAX_SAFE_INTEGER, 3_600_000],
  ])('%j is %j', (given, ms) => {
    expect(parseReconnectionTime(given)).toBe(ms)
  })

  it.each([1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1000', '1\ndata: x', null, undefined, 1n, [1000]])(
    'refuses %s',
    (ms) => {
      expect(() => parseReconnectionTime(ms)).toThrow(TypeError)
      expect(() => parseReconnectionTime(ms)).toThrow('retry')
    },
  )
})

describe('randomReconnectionTime', () => {
  it('lies between the base and twice that', () => {
    const random = vi.spyOn(Math, 'random')
    random.mockReturnValue(0)
    expect(randomReconnectionTime(2_000)).toBe(2_000)
    random.mockReturnValue(0.999_999)
    expect(randomReconnectionTime(2_000)).toBe(3_999)
    expect(randomReconnectionTime(2_000, 8_000)).toBe(9_999)
  })

  it('differs from one to the next', () => {
    expect(new Set(Array.from({ length: 50 }, () => randomReconnectionTime(2_000))).size).toBeGreaterThan(10)
  })
})
