import { describe, expect, it, vi } from 'vitest'
import type { Page } from '../../../src/broker/broker.ts'
import type { LogReader } from '../../../src/broker/redis/reader.ts'
import type { Session } from '../../../src/broker/redis/session.ts'
import { readMissed } from '../../../src/broker/redis/sync.ts'
import { StoredEvent } from '../../../src/broker/stored-event.ts'
import { event, selector } from '../../../src/testing/broker-contract/rig.ts'

const at = (seq: number, epoch = 'AAAAAA') => ({ epoch, seq })
const item = (seq: number, bytes = 10) => new StoredEvent({ ...event('a1'), bytes }, 'AAAAAA', seq, seq - 1)
const END = at(90, 'EEEEEE')

function page(from: number, upto: number, given: Partial<Page> = {}): Page {
  return { status: 'ok', from: at(from), items: [], upto: at(upto), end: false, ...given }
}

/** What a node has missed after 4, if its log gives these pages in turn. */
async function missed(...pages: (Page | undefined)[]) {
  const order: string[] = []
  const read = vi.fn(async (..._: unknown[]) => {
    order.push('read')
    return pages.shift()
  })
  const end = async () => {
    order.push('end')
    return END
  }
  const reader = { read, end } as unknown as LogReader
  const session = { probe: async () => order.push('probe') } as unknown as Session
  const answer = await readMissed(session, reader, at(4), selector('a'))
  return { answer, order: order.join(' '), from: read.mock.calls.map(([from]) => from) }
}

const LOST = { top: END, items: undefined }

describe('the events that a node missed', () => {
  it('are those of all pages up to the end of the log', async () => {
    const [a, b, c] = [item(5), item(6), item(8)]
    const { answer, from } = await missed(
      page(4, 6, { items: [a, b] }),
      page(6, 7),
      page(7, 9, { items: [c], end: true }),
    )
    expect(answer).toEqual({ top: at(9), items: [a, b, c] })
    expect(from).toEqual([at(4), at(6), at(7)])
  })

  it('are whole when the log began a new epoch without a loss since the position', async () => {
    const one = { items: [item(5)], upto: at(9, 'BBBBBB'), end: true }
    expect((await missed(page(4, 0, one))).answer).toEqual({ top: at(9, 'BBBBBB'), items: one.items })
    const { answer, from } = await missed(
      page(4, 0, { upto: at(6, 'BBBBBB') }),
      page(6, 0, { upto: at(9, 'BBBBBB'), end: true }),
    )
    expect(answer).toEqual({ top: at(9, 'BBBBBB'), items: [] })
    expect(from).toEqual([at(4), at(6, 'BBBBBB')])
  })

  it('are not handed over when the epoch changes between two pages', async () => {
    const first = page(4, 6, { items: [item(5)] })
    const { answer, order } = await missed(first, page(6, 0, { upto: at(7, 'BBBBBB') }))
    expect(answer).toEqual(LOST)
    expect(order).toBe('read read probe end')
    const last = await missed(first, page(6, 0, { upto: at(7, 'BBBBBB'), end: true }))
    expect(last.answer).toEqual({ top: at(7, 'BBBBBB'), items: undefined })
  })

  it.each<[string, Page | undefined]>([
    ['the order of the log does not reach back so far', undefined],
    ['the node has seen more than the log has', page(3, 3, { status: 'diverged' })],
    ['the log does not remember its epoch', page(3, 3, { status: 'unknown-epoch' })],
    ['the log has lost some', page(4, 9, { items: [{ channels: ['a'], seq: 7 }, item(8)] })],
    ['their bytes are too many', page(4, 9, { items: [item(5, 10_000_000), item(6, 10_000_000)] })],
    ['they are too many', page(4, 9, { items: Array.from({ length: 10_001 }, (_, i) => item(5 + i)) })],
  ])('are not handed over when %s: a check first, then the end of the log', async (_, one) => {
    const { answer, order } = await missed(one)
    expect(answer).toEqual(LOST)
    expect(order).toBe('read probe end')
  })
})
