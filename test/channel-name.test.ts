import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  pattern as channelPattern,
  channelToken,
  covers,
  fromChannelToken,
  isPattern,
  overlaps,
  PatternTree,
  parseChannelName,
  parseChannelOrPattern,
  parseSelection,
} from '../src/channel-name.ts'

const refusal = expect.objectContaining({ code: 'ERR_SSE_CHANNEL_NAME', status: 400 })

const NAMES = ['news', 'a', 'user.42', 'A-z_0:9@x', '-', 'a.b.c.d', 'x'.repeat(200), `${'a.'.repeat(99)}bc`]
const PATTERNS = ['*', '>', 'orders.*', 'user.42.>', '*.*', '*.b.>', 'a.*.c', '*.>']
const NEITHER = [
  ['no characters', ''],
  ['too many characters', 'x'.repeat(201)],
  ['an empty first token', '.a'],
  ['an empty last token', 'a.'],
  ['an empty token', 'a..b'],
  ['a space', 'a b'],
  ['a slash', 'a/b'],
  ['LF', 'a\n'],
  ['NUL', 'a\0'],
  ['a letter beyond ASCII', 'é'],
  ['a % escape', 'a%2Eb'],
  ['> before the end', '>.a'],
  ['> twice', '>.>'],
  ['* beside other characters', 'a*'],
  ['> beside other characters', 'a.b>'],
  ['**', '**'],
  ['an array', ['a']],
  ['nothing', undefined],
  ['null', null],
  ['a number', 5],
] as const

describe('parseChannelName', () => {
  it.each(NAMES)('takes %s', (name) => {
    expect(parseChannelName(name)).toBe(name)
  })

  it.each([...NEITHER, ...PATTERNS.map((pattern) => [`the pattern ${pattern}`, pattern] as const)])(
    'refuses %s',
    (_, name) => {
      expect(() => parseChannelName(name)).toThrow(refusal)
    },
  )

  it('names the mistake, without repeating a long name', () => {
    expect(() => parseChannelName('a.*')).toThrow('Use pattern() to subscribe to a wildcard.')
    expect(() => parseChannelName('a b')).toThrow(/^"a b" is not a channel name/)
    expect(() => parseChannelName('x'.repeat(5_000))).toThrow(/^"x{60}…" is not/)
    expect(() => parseChannelName(5)).toThrow(/^A number is not/)
  })
})

describe('parseChannelOrPattern', () => {
  it.each([...NAMES, ...PATTERNS])('takes %s', (name) => {
    expect(parseChannelOrPattern(name)).toBe(name)
  })

  it.each(NEITHER)('refuses %s', (_, name) => {
    expect(() => parseChannelOrPattern(name)).toThrow(refusal)
  })

  it('is quick with a name made to be slow', () => {
    const start = performance.now()
    for (const name of [`${'a.'.repeat(99)}!`, `${'*.'.repeat(99)}!`, `${'a'.repeat(199)}!`]) {
      expect(() => parseChannelOrPattern(name)).toThrow(refusal)
    }
    expect(performance.now() - start).toBeLessThan(100)
  })
})

describe('isPattern', () => {
  it('distinguishes patterns from names', () => {
    expect(PATTERNS.every(isPattern)).toBe(true)
    expect(NAMES.some(isPattern)).toBe(false)
  })
})

/** Names of up to four tokens out of two, which is every case that a pattern of up to three can distinguish. */
const UNIVERSE = [1, 2, 3, 4].flatMap((length) =>
  Array.from({ length: 2 ** length }, (_, n) => Array.from({ length }, (_, i) => ((n >> i) & 1 ? 'a' : 'b')).join('.')),
)

const name = fc.constantFrom(...UNIVERSE)
const pattern = fc
  .tuple(fc.array(fc.constantFrom('a', 'b', '*'), { maxLength: 3 }), fc.constantFrom('a', 'b', '*', '>', undefined))
  .map(([tokens, last]) => (last === undefined ? tokens : [...tokens.slice(0, 2), last]).join('.'))
  .filter((text) => text !== '')

/** What a pattern means, said in the simplest way. */
function matchesNaively(pattern: string, name: string): boolean {
  const expression = pattern
    .split('.')
    .map((token) => (token === '*' ? '[^.]+' : token === '>' ? '.+' : token))
    .join('\\.')
  return new RegExp(`^${expression}$`).test(name)
}

describe('covers, with a name', () => {
  it('has the meaning of a pattern', () => {
    fc.assert(
      fc.property(pattern, name, (pattern, name) => {
        expect(covers(pattern, name)).toBe(matchesNaively(pattern, name))
      }),
      { numRuns: 1_000 },
    )
  })
})

describe('covers', () => {
  it('says whether every name that is asked for is served', () => {
    fc.assert(
      fc.property(pattern, fc.oneof(pattern, name), (entry, asked) => {
        const all = UNIVERSE.filter((name) => matchesNaively(asked, name)).every((name) => matchesNaively(entry, name))
        expect(covers(entry, asked)).toBe(all)
      }),
      { numRuns: 2_000 },
    )
  })

  it.each([
    ['>', '>', true],
    ['>', '*', true],
    ['*', '>', false],
    ['a.>', 'a', false],
    ['a.>', 'a.*', true],
    ['a.*', 'a.>', false],
    ['a.*', 'a.b.c', false],
    ['a', '*', false],
  ])('%s covers %s: %s', (entry, asked, answer) => {
    expect(covers(entry, asked)).toBe(answer)
  })
})

describe('PatternTree', () => {
  it('finds the same as a list of patterns, after any changes', () => {
    const change = fc.record({ pattern, remove: fc.boolean() })
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40 }), fc.array(name, { maxLength: 10 }), (changes, names) => {
        const tree = new PatternTree<string>()
        const model = new Map<string, string>()
        for (const [i, { pattern, remove }] of changes.entries()) {
          if (remove) {
            tree.delete(pattern)
            model.delete(pattern)
          } else {
            tree.set(pattern, `${pattern}#${i}`)
            model.set(pattern, `${pattern}#${i}`)
          }
          expect(tree.get(pattern)).toBe(model.get(pattern))
        }
        for (const name of names) {
          const found: string[] = []
          tree.match(name, (value) => found.push(value))
          const expected = [...model].filter(([pattern]) => matchesNaively(pattern, name)).map(([, value]) => value)
          expect(found.sort()).toEqual(expected.sort())
        }
        for (const pattern of [...model.keys()]) tree.delete(pattern)
        for (const name of UNIVERSE) tree.match(name, (value) => expect(value).toBeUndefined())
      }),
      { numRuns: 500 },
    )
  })

  it('does not confuse a path with a pattern', () => {
    const tree = new PatternTree<number>()
    tree.set('a.b.*', 1)
    expect([tree.get('a.b'), tree.get('x'), tree.get('a.b.*')]).toEqual([undefined, undefined, 1])
    tree.delete('a.b')
    tree.delete('x.y')
    expect(tree.get('a.b.*')).toBe(1)
  })

  it('keeps values of patterns that begin alike apart', () => {
    const tree = new PatternTree<number>()
    tree.set('a', 1)
    tree.set('a.>', 2)
    tree.delete('a')
    expect([tree.get('a'), tree.get('a.>')]).toEqual([undefined, 2])
    tree.set('a', 3)
    tree.delete('a.>')
    expect([tree.get('a'), tree.get('a.>')]).toEqual([3, undefined])
  })
})

describe('parseSelection', () => {
  it('takes a string as a name, never as a pattern', () => {
    for (const computed of ['user.*', '>', 'user.1.>', '*']) expect(() => parseSelection(computed)).toThrow(refusal)
    expect(() => parseSelection(['a', '*'])).toThrow(/pattern\(\)/)
    expect(parseSelection(['b', channelPattern('a.*'), 'b'])).toEqual(['b', 'a.*'])
    expect(parseSelection(channelPattern('>'))).toEqual(['>'])
  })

  it.each([[null], [5], [{}], [[undefined]], [{ toString: () => 'a' }]])('refuses %j', (selection) => {
    expect(() => parseSelection(selection)).toThrow(refusal)
  })

  it('takes patterns of another copy of the package, and checks them', () => {
    const foreign = (text: string) => ({ [Symbol.for('express-sse-hub.pattern')]: text })
    expect(parseSelection(foreign('a.*'))).toEqual(['a.*'])
    expect(() => parseSelection(foreign('a b'))).toThrow(refusal)
  })
})

describe('channelToken', () => {
  it.each([
    ['550e8400-e29b-41d4-a716-446655440000', '550e8400-e29b-41d4-a716-446655440000'],
    ['auth0|123', 'auth0:7c123'],
    ['ann@example.org', 'ann@example:2eorg'],
    ['*', ':2a'],
    ['a:b', 'a::b'],
    ['é', ':c3:a9'],
    ['', ':_'],
    [42, '42'],
  ])('makes of %j the token %s', (id, token) => {
    expect(channelToken(id)).toBe(token)
    expect(parseChannelName(`user.${token}.inbox`)).toBeDefined()
    expect(fromChannelToken(token)).toBe(String(id))
  })

  it('gives different IDs different tokens, and reverses', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 15 }), (id) => {
        const token = channelToken(id)
        expect(token).toMatch(/^[A-Za-z0-9_:@-]+$/)
        expect(fromChannelToken(token)).toBe(id)
      }),
    )
  })

  it('refuses an ID without a token', () => {
    expect(() => channelToken('\ud83d')).toThrow(refusal)
    expect(() => channelToken('x'.repeat(201))).toThrow(refusal)
    expect(() => channelToken('|'.repeat(67))).toThrow(refusal)
    for (const token of ['', ':', ':7', ':zz', 'a.b', ':41', ':_x', '::_:', ':ff']) {
      expect(() => fromChannelToken(token), token).toThrow(refusal)
    }
  })
})

it.each([
  ['a', 'a', true],
  ['a', 'b', false],
  ['a.*', '*.b', true],
  ['a.*', 'b.*', false],
  ['a.*', 'a', false],
  ['a.*', 'a.b.c', false],
  ['a.>', 'a', false],
  ['a.>', '*.b.c', true],
  ['a.>', 'b.>', false],
  ['>', 'a.*', true],
  ['*.*', 'a.>', true],
  ['*', 'a.>', false],
])('%s and %s may stand for the same channel: %s', (one, other, expected) => {
  expect(overlaps(one, other)).toBe(expected)
  expect(overlaps(other, one)).toBe(expected)
})
