import { describe, expect, it } from 'vitest'
import { CHECKERS, check } from './checkers.ts'
import type { Seen, Story } from './story.ts'

// A checker that cannot fail says nothing.

const id = (seq: number) => `aaaaaa.${seq.toString(36)}`
const event = (seq: number, uid = `u${seq}`, channel = 'a'): Seen => ({ what: 'event', id: id(seq), channel, uid })
const open = (seq: number): Seen => ({ what: 'open', sent: '', resumed: false, id: id(seq) })
const gap = (to: number, reason = 'diverged'): Seen => ({ what: 'gap', reason, channels: ['a'], to: id(to) })

/** Four events on one channel, all acknowledged and all delivered. */
function story(change: Partial<Story> & { seen?: readonly Seen[] } = {}): Story {
  const log = [1, 2, 3, 4].map((seq) => ({ seq, channel: 'a', uid: `u${seq}` }))
  const { seen = [open(0), event(1), event(2), { what: 'cut' }, open(2), event(3), event(4)], ...rest } = change
  return {
    log,
    publications: log.map(({ uid, seq }) => ({ uid, channel: 'a', id: id(seq), afterFaults: 0 })),
    subscriptions: [{ name: 's', channels: ['a'], seen }],
    lossy: false,
    ...rest,
  }
}

describe('the checkers', () => {
  it('have nothing to say of a run in which all went well', () => {
    expect(check(story())).toEqual([])
  })

  it.each<[checker: string, change: Parameters<typeof story>[0]]>([
    ['noSilentLoss', { seen: [open(0), event(1), event(3), event(4)] }],
    ['noSilentLoss', { seen: [open(0), event(1), event(2), event(3)] }],
    ['noSilentLoss', { seen: [open(0)] }],
    ['noSilentLoss', { seen: [] }],
    // A gap says up to where, and no further.
    ['noSilentLoss', { seen: [open(0), event(1), gap(2), event(4)], lossy: true }],
    ['noDuplicates', { seen: [open(0), event(1), event(2), event(2), event(3), event(4)] }],
    ['noDuplicates', { seen: [open(0), event(1), event(2), event(3), event(4), event(5, 'u4')] }],
    ['inOrder', { seen: [open(0), event(1), event(3), event(2), event(4)] }],
    ['inOrder', { seen: [open(0), event(1), event(2), gap(3), event(3), event(4)], lossy: true }],
    ['noPhantoms', { seen: [open(0), event(1), event(2), event(3), event(4), event(5)], lossy: true }],
    ['noPhantoms', { seen: [open(0), event(1), event(2, 'other'), event(3), event(4)] }],
    [
      'noPhantoms',
      { seen: [open(0), event(1), event(2), event(3), event(4), event(5), gap(4, 'trimmed')], lossy: true },
    ],
    ['acknowledgedIsKept', { log: [1, 2, 3].map((seq) => ({ seq, channel: 'a', uid: `u${seq}` })) }],
    [
      'acknowledgedIsKept',
      { log: [1, 2, 3, 4, 5].map((seq) => ({ seq, channel: 'a', uid: seq === 5 ? 'u1' : `u${seq}` })) },
    ],
    ['acknowledgedIsKept', { publications: [{ uid: 'u1', channel: 'a', id: id(2), afterFaults: 0 }] }],
    ['noFalseGaps', { seen: [open(0), event(1), gap(1), event(2), event(3), event(4)] }],
  ])('%s finds the mistake', (checker, change) => {
    expect(CHECKERS[checker]!(story(change))).not.toEqual([])
  })

  it('accept a rollback that is reported as a gap', () => {
    const seen = [open(0), event(1), event(2), event(3, 'lost'), { what: 'cut' } as const, gap(2), event(3), event(4)]
    expect(check(story({ seen, lossy: true }))).toEqual([])
  })
})
