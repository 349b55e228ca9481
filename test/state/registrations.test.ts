import { describe, expect, it } from 'vitest'
import { assertListed, Registrations } from '../../src/state/registrations.ts'

const state = () => null
const names = (found: readonly { name: string }[]) => found.map(({ name }) => name)

describe('the registrations of snapshot functions', () => {
  it('refuse invalid arguments with an error that names them', () => {
    const all = new Registrations()
    expect(() => all.add('a b', state, undefined)).toThrow(expect.objectContaining({ code: 'ERR_SSE_CHANNEL_NAME' }))
    expect(() => all.add('a', 5 as never, undefined)).toThrow('Option `fn` must be a function, got 5')
    expect(() => all.add('a.*', state, { list: 'a.1' as never })).toThrow('Option `list` must be a function')
    expect(() => all.add('a', state, { list: () => [] })).toThrow('`list` is not allowed for the channel a')
    expect(() => all.add('a', state, { maxAgeMs: -1 })).toThrow('`maxAgeMs` must be an integer')
    expect(() => all.add('a', state, { maxAge: 1 } as never)).toThrow('no option `maxAge`')
    expect(all.of('a')).toBeUndefined()
  })

  it('refuse the same name and the same pattern twice', () => {
    const all = new Registrations()
    all.add('a', state, undefined)
    all.add('b.*', state, undefined)
    expect(() => all.add('a', state, undefined)).toThrow('a has a snapshot function already')
    expect(() => all.add('b.*', state, undefined)).toThrow('b.* has a snapshot function already')
  })

  it('find the exact name of a channel, then the first pattern', () => {
    const all = new Registrations()
    all.add('a.*', state, undefined)
    all.add('a.>', state, { maxAgeMs: 5 })
    all.add('a.1', state, undefined)
    expect(all.of('a.1')).toMatchObject({ name: 'a.1', maxAgeMs: 1_000 })
    expect(all.of('a.2')).toMatchObject({ name: 'a.*' })
    expect(all.of('a.2.3')).toMatchObject({ name: 'a.>', maxAgeMs: 5 })
    expect(all.of('b')).toBeUndefined()
  })

  it('find all that may have channels of a pattern, and the one that has every channel of it', () => {
    const all = new Registrations()
    all.add('a.1', state, undefined)
    all.add('b.1', state, undefined)
    all.add('a.*', state, undefined)
    all.add('*.x', state, undefined)
    expect(names(all.within('a.*'))).toEqual(['a.1', 'a.*', '*.x'])
    expect(names(all.within('c.*'))).toEqual(['*.x'])
    expect(names(all.within('c.d.*'))).toEqual([])
    expect(all.covering('a.*')).toMatchObject({ name: 'a.*' })
    expect(all.covering('>')).toBeUndefined()
  })

  it('take a list of any iterable, with at most 1,000 channels', () => {
    expect(assertListed('a.*', new Set(['a.1', 'a.2']))).toEqual(['a.1', 'a.2'])
    expect(assertListed('a.*', Array(1_000).fill('a.1'))).toHaveLength(1_000)
    expect(() => assertListed('a.*', Array(1_001).fill('a.1'))).toThrow('over 1,000 channels for a.*')
  })
})
