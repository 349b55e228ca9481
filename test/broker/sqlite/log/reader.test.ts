import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { ChannelEvents } from '../../../../src/broker/sqlite/log/series.ts'
import { selector } from '../../support.ts'
import { temporaryFile } from '../support.ts'
import { ALL, Log } from './log.ts'

describe('a pattern over many channels', () => {
  const COUNT = 1_000
  const of = selector('p.*')

  async function wideLog(history = {}) {
    const log = await Log.open(temporaryFile(), { history })
    for (let i = 0; i < COUNT; i++) log.append(0, `p.c${i}-x`)
    return log
  }

  /** Every page from `after` on. */
  function pages(
    log: Log,
    after: number,
    between: (page: number) => void = () => {},
    limit = { events: 50, bytes: 1e9 },
  ) {
    const items: (number | string)[] = []
    let count = 0
    for (let at = after; ; ) {
      const page = log.read(at, of, limit)
      items.push(...page.items.map((item) => ('channels' in item ? `lost ${item.channels} ${item.seq}` : item.seq)))
      count++
      if (page.end) return { items, count, upto: page.upto }
      expect(page.upto).toBeGreaterThan(at)
      at = page.upto
      between(count)
    }
  }

  it('returns every event once, page by page, including events that are appended between pages', async () => {
    const log = await wideLog()
    const { items, upto } = pages(log, 0, (page) => page % 7 === 0 && log.append(0, `p.new${page}-x`))
    expect(items).toEqual(Array.from({ length: upto }, (_, i) => i + 1))
    log.close()
  })

  it('gives the same as one large page, with losses in their places', async () => {
    const log = await wideLog({ channels: { 'p.*': { maxEvents: 1 } } })
    for (let i = 0; i < 300; i++) log.append(0, `p.c${i * 3}-x`)
    log.sweep(0)
    const whole = log
      .read(0, of, ALL)
      .items.map((item) => ('channels' in item ? `lost ${item.channels} ${item.seq}` : item.seq))
    expect(pages(log, 0).items).toEqual(whole)
    expect(whole.some((item) => String(item).startsWith('lost'))).toBe(true)
    log.close()
  })

  it('never fails on rows that are deleted between two pages', async () => {
    const log = await wideLog({ channels: { 'p.*': { maxEvents: 1 } } })
    const { items, upto } = pages(
      log,
      0,
      (page) => {
        for (let i = 0; i < 40; i++) log.append(0, `p.c${(page * 97 + i) % COUNT}-x`)
        log.sweep(0)
        if (page > 60) for (let i = 0; i < 20; i++) log.append(0, 'q1')
      },
      { events: 90, bytes: 1e9 },
    )
    const seqs = items.filter((item) => typeof item === 'number')
    expect(new Set(seqs).size).toBe(seqs.length)
    expect(upto).toBeGreaterThan(COUNT)
    log.close()
  })

  it('is looked up once for all its pages', async () => {
    const log = await wideLog()
    const found = vi.spyOn(ChannelEvents.prototype, 'after')
    onTestFinished(() => found.mockRestore())
    expect(pages(log, 0).count).toBe(COUNT / 50)
    // Once for each channel; the series of the last pages, of few channels, are searched again.
    expect(found.mock.calls.length).toBeLessThan(1.2 * COUNT)
    log.close()
  })
})

it('a page is a snapshot of committed events', async () => {
  const log = await Log.open(temporaryFile())
  log.append(0, 'a1')
  log.reader.read('aaaaaa', { epoch: 'aaaaaa', seq: 0 }, selector('a'), ALL, 0)
  expect(() => log.reader.read('aaaaaa', { epoch: 'aaaaaa', seq: 0 }, undefined as never, ALL, 0)).toThrow(TypeError)
  // A read that failed leaves no transaction open, in which nothing new would be seen.
  log.append(0, 'a2')
  expect(log.after(0, selector('a'))).toEqual(['a1', 'a2'])
  log.close()
})
