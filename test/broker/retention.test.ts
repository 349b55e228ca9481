import { describe, expect, it } from 'vitest'
import { resolveHistoryOptions } from '../../src/broker/retention.ts'

describe('retention', () => {
  it('has defaults', () => {
    const { maxBytes, maxChannels, rememberMs, retentions, retentionOf } = resolveHistoryOptions(undefined)
    expect({ maxBytes, maxChannels, rememberMs }).toEqual({
      maxBytes: 67_108_864,
      maxChannels: 100_000,
      rememberMs: 3_600_000,
    })
    expect(retentions).toMatchObject([{ entry: undefined, maxEvents: 1_000, maxAgeMs: 3_600_000 }])
    expect(retentionOf('any.channel')).toBe(retentions[0])
  })

  it('of a channel is that of its name, else of the first pattern that matches, else the general one', () => {
    const { retentionOf, retentions } = resolveHistoryOptions({
      maxEvents: 1,
      channels: { 'p.>': { maxEvents: 2 }, 'p.*': { maxEvents: 3 }, 'p.x': { maxEvents: 4 }, '*.y': { maxEvents: 5 } },
    })
    const maxEvents = (channel: string) => retentionOf(channel).maxEvents
    expect(['p', 'p.x', 'p.y', 'p.x.y', 'q.y', 'q'].map(maxEvents)).toEqual([1, 4, 2, 2, 5, 1])
    for (const channel of ['p', 'p.x', 'p.y', 'q.y']) expect(retentions).toContain(retentionOf(channel))
  })

  it('takes an option that a channel does not set from the general one', () => {
    const { retentionOf } = resolveHistoryOptions({
      maxEvents: 7,
      maxAgeMs: 5_000,
      channels: { few: { maxEvents: 0 }, long: { maxAgeMs: 0 }, neither: { maxEvents: undefined } },
    })
    expect(retentionOf('few')).toMatchObject({ maxEvents: 0, maxAgeMs: 5_000 })
    expect(retentionOf('long')).toMatchObject({ maxEvents: 7, maxAgeMs: Number.POSITIVE_INFINITY })
    expect(retentionOf('neither')).toMatchObject({ maxEvents: 7, maxAgeMs: 5_000 })
  })

  it('lets a channel inherit an age without a limit', () => {
    const { retentionOf } = resolveHistoryOptions({ maxAgeMs: 0, channels: { a: { maxEvents: 1 } } })
    expect(retentionOf('a')).toMatchObject({ maxEvents: 1, maxAgeMs: Number.POSITIVE_INFINITY })
  })

  it.each([
    [{ maxAgeMs: 1 }, 3_600_000],
    [{ maxAgeMs: 0 }, 3_600_000],
    [{ maxAgeMs: 7_200_000 }, 7_200_000],
    [{ channels: { a: { maxAgeMs: 9_000_000 }, 'b.*': { maxAgeMs: 8_000_000 } } }, 9_000_000],
    [{ channels: { a: { maxAgeMs: 0 }, 'b.*': { maxAgeMs: 8_000_000 } } }, 8_000_000],
  ])('%j remembers names for the longest age there is, at least an hour', (options, ms) => {
    expect(resolveHistoryOptions(options).rememberMs).toBe(ms)
  })

  it.each([
    ['typing.a', true],
    ['typing.log', false],
    ['typing.a.b', false],
    ['typing.*', false],
    ['other', false],
    ['live.a.b', true],
    ['live.*', true],
    ['live.>', true],
    ['live.vip.a', true],
    ['*.a', false],
    ['game.a', true],
    ['game.*', false],
    ['>', false],
  ])('knows of %s whether all of its channels are ephemeral', (name, expected) => {
    const { isEphemeral } = resolveHistoryOptions({
      channels: {
        'typing.log': { maxEvents: 5 },
        'typing.*': { ephemeral: true, maxEvents: undefined },
        'live.vip.a': { ephemeral: true },
        'live.>': { ephemeral: true },
        'game.score': { ephemeral: false },
        'game.*': { ephemeral: true },
      },
    })
    expect(isEphemeral(name)).toBe(expected)
  })

  it.each([
    [{ maxEvents: -1 }, 'history.maxEvents'],
    [{ maxEvents: 10_000_001 }, 'history.maxEvents'],
    [{ maxAgeMs: 0.5 }, 'history.maxAgeMs'],
    [{ maxAgeMs: Number.POSITIVE_INFINITY }, 'history.maxAgeMs'],
    [{ maxBytes: '64mb' }, 'history.maxBytes'],
    [{ maxChannels: 0 }, 'history.maxChannels'],
    [{ maxEvent: 1 }, 'history has no option `maxEvent`'],
    [{ channels: { a: { maxEvents: Number.NaN } } }, 'history.channels["a"].maxEvents'],
    [{ channels: { 'a.*': { maxAgeMs: -1 } } }, 'history.channels["a.*"].maxAgeMs'],
    [{ channels: { a: { channels: {} } } }, 'history.channels["a"] has no option `channels`'],
    [{ channels: { a: { maxBytes: -1 } } }, 'history.channels["a"].maxBytes'],
    [{ channels: { 'a.*': { maxChannels: 0 } } }, 'history.channels["a.*"].maxChannels'],
    [{ channels: { a: 5 } }, 'history.channels["a"]'],
    [{ ephemeral: true }, 'history has no option `ephemeral`'],
    [{ channels: { a: { ephemeral: 1 } } }, 'history.channels["a"].ephemeral'],
    [
      { channels: { a: { ephemeral: true, maxEvents: 0 } } },
      'Option `history.channels["a"].maxEvents` must be absent because `ephemeral` is true, got 0.',
    ],
    [{ channels: { 'a.*': { maxAgeMs: 1, ephemeral: true } } }, 'history.channels["a.*"].maxAgeMs'],
    [{ channels: { 'a b': {} } }, 'history.channels'],
    [{ channels: { 'a.>.b': {} } }, 'history.channels'],
    [{ channels: 5 }, 'history.channels'],
    [{ channels: null }, 'history.channels'],
    [{ channels: ['a'] }, 'history.channels'],
    ['none', 'history'],
    [null, 'history'],
  ])('refuses %j with a TypeError that names the option', (options, name) => {
    const resolve = () => resolveHistoryOptions(options as never)
    expect(resolve).toThrow(TypeError)
    expect(resolve).toThrow(name)
  })

  it('gives an entry limits of its own only where it has them', () => {
    const { retentionOf } = resolveHistoryOptions({
      maxBytes: 1_600,
      maxChannels: 5,
      channels: { 'own.*': { maxBytes: 800, maxChannels: 2 }, 'large.*': { maxBytes: 16_000 }, 'none.*': {} },
    })
    const none = { maxBytes: Number.POSITIVE_INFINITY, maxChannels: Number.POSITIVE_INFINITY, maxEventBytes: 100 }
    expect(retentionOf('own.a')).toMatchObject({ entry: 'own.*', maxBytes: 800, maxChannels: 2, maxEventBytes: 50 })
    expect(retentionOf('large.a')).toMatchObject({ maxBytes: 16_000, maxEventBytes: 100 })
    expect(retentionOf('none.a')).toMatchObject(none)
    expect(retentionOf('other')).toMatchObject({ entry: undefined, ...none })
  })

  it('knows the entries that a channel of a pattern may have', () => {
    const { retentions, mayHave } = resolveHistoryOptions({
      channels: { 'p.>': {}, 'p.*': {}, 'p.x': {}, '*.y': {}, 'q.r.*': {} },
    })
    const entries = (asked: string) =>
      retentions.flatMap(({ entry }) => (mayHave(asked, entry) ? [entry ?? 'none'] : [])).sort()
    expect(entries('p')).toEqual(['none'])
    expect(entries('p.x')).toEqual(['p.x'])
    expect(entries('p.y')).toEqual(['p.>'])
    // Nothing is left to a pattern behind one that covers it.
    expect(entries('p.*')).toEqual(['p.>', 'p.x'])
    expect(entries('p.y.>')).toEqual(['p.>'])
    expect(entries('q.*')).toEqual(['*.y', 'none'])
    expect(entries('q.r.*')).toEqual(['q.r.*'])
    expect(entries('*.*.*')).toEqual(['none', 'p.>', 'q.r.*'])
    expect(entries('>')).toEqual(['*.y', 'none', 'p.>', 'p.x', 'q.r.*'])
  })

  it('takes the bounds themselves', () => {
    const options = { maxEvents: 10_000_000, maxAgeMs: Number.MAX_SAFE_INTEGER, maxBytes: 0, maxChannels: 1 }
    expect(resolveHistoryOptions(options)).toMatchObject({ maxBytes: 0, maxChannels: 1 })
  })
})
