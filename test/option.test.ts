import { describe, expect, it } from 'vitest'
import { booleanOption, choiceOption, functionOption, integerOption, optionsObject } from '../src/option.ts'

describe('integerOption', () => {
  it.each([
    [undefined, 5],
    [1, 1],
    [10, 10],
  ])('%s is %s', (value, result) => {
    expect(integerOption('sizeBytes', value, 5, 1, 10)).toBe(result)
  })

  it.each([
    [0, '0'],
    [11, '11'],
    [1.5, '1.5'],
    [Number.NaN, 'NaN'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    ['5', '"5"'],
    [null, 'null'],
    [true, 'true'],
    [5n, 'a bigint'],
    [{}, 'an object'],
    [() => {}, 'a function'],
  ])('refuses %s', (value, shown) => {
    expect(() => integerOption('sizeBytes', value, 5, 1, 10)).toThrow(
      new TypeError(`Option \`sizeBytes\` must be an integer from 1 to 10, got ${shown}.`),
    )
  })
})

describe('booleanOption', () => {
  it('takes true and false, or the default', () => {
    expect([true, false, undefined].map((value) => booleanOption('end', value, true))).toEqual([true, false, true])
  })

  it.each([0, 'no', null, {}])('refuses %j', (value) => {
    expect(() => booleanOption('end', value, true)).toThrow(/^Option `end` must be true or false, got /)
  })
})

describe('choiceOption', () => {
  it('takes a choice, or the default', () => {
    expect(choiceOption('mode', 'b', 'a', ['a', 'b'])).toBe('b')
    expect(choiceOption('mode', undefined, 'a', ['a', 'b'])).toBe('a')
  })

  it.each([
    ['c', '"c"'],
    [null, 'null'],
    [1, '1'],
  ])('refuses %j', (value, shown) => {
    expect(() => choiceOption('mode', value, 'a', ['a', 'b'])).toThrow(
      new TypeError(`Option \`mode\` must be 'a' or 'b', got ${shown}.`),
    )
  })
})

describe('functionOption', () => {
  it('takes a function, or nothing', () => {
    const fn = (_a: unknown, _b: unknown) => true
    expect(functionOption('hook', fn)).toBe(fn)
    expect(functionOption('hook', fn, 2)).toBe(fn)
    expect(functionOption('hook', undefined)).toBeUndefined()
  })

  it('refuses a value that is not a function', () => {
    expect(() => functionOption('hook', null as never)).toThrow(
      new TypeError('Option `hook` must be a function, got null.'),
    )
    expect(() => functionOption('hook', 'anyone' as never)).toThrow('"anyone"')
  })

  it('refuses a middleware', () => {
    const middleware = (_req: unknown, _res: unknown, next: () => void) => next()
    expect(() => functionOption('hook', middleware, 2)).toThrow(TypeError)
    expect(() => functionOption('hook', middleware, 2)).toThrow(
      'Option `hook` must be a function of at most 2 parameters',
    )
  })
})

describe('optionsObject', () => {
  it('takes an object with known names, or nothing', () => {
    const options = { a: 1 }
    expect(optionsObject('f()', options, ['a'])).toBe(options)
    expect(optionsObject('f()', undefined, [])).toEqual({})
  })

  it('refuses unknown names, so that a typing error is seen', () => {
    expect(() => optionsObject('f()', { a: 1, B: 2 } as { a: number }, ['a'])).toThrow(
      new TypeError('f() has no option `B`. Its options: a.'),
    )
  })

  it.each([null, 5, 'x', true, []])('refuses %s', (options) => {
    expect(() => optionsObject('f()', options as never, [])).toThrow(/^The options of f\(\) must be an object, got /)
  })
})
