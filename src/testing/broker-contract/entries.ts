import assert from 'node:assert/strict'
import { type ContractIt, largeEvent } from './rig.ts'

/** The limits of single entries of `history.channels`: a flood of channels of one entry costs no others anything. */
export function entries(it: ContractIt): void {
  it('maxBytes of an entry deletes the oldest events of its channels, and no others', async (open) => {
    const log = await open({ history: { channels: { 'board.>': { maxBytes: 100_000 }, 'board.x': {} } } })
    const start = await log.end()
    await log.append('a1', 'board.x1', 'board.y1')
    for (let i = 0; i < 60; i++) await log.append(largeEvent(`board.z${i}`, 5_000))
    assert.deepEqual(await log.after(start, 'a', 'board.x'), ['a1', 'board.x1'])
    assert.deepEqual(await log.after(start, 'board.y'), ['lost board.y to board.y1'])
    const [lost, ...kept] = await log.after(start, 'board.z')
    assert.match(lost!, /^lost board\.z to /)
    assert.ok(kept.length >= 4 && kept.length <= 20, `${kept.length} events of 5,000 bytes were kept`)
    assert.match(kept.at(-1)!, /^board\.z59\./)
  })

  it('an event larger than a sixteenth of its entry is not kept, and deletes nothing', async (open) => {
    const log = await open({ history: { channels: { 'board.>': { maxBytes: 100_000 } } } })
    const start = await log.end()
    await log.append('board.x1')
    await log.append(largeEvent('board.y1', 7_000), largeEvent('a1', 7_000))
    assert.deepEqual(await log.after(start, 'board.x'), ['board.x1'])
    assert.match((await log.after(start, 'board.y')).join(), /^lost board\.y to /)
    assert.match((await log.after(start, 'a')).join(), /^a1\./)
  })

  it('maxBytes: 0 of an entry keeps nothing of its channels', async (open) => {
    const log = await open({ history: { channels: { 'board.>': { maxBytes: 0 } } } })
    const start = await log.end()
    await log.append('a1', 'board.x1')
    assert.deepEqual(await log.after(start, 'a', 'board.x'), ['a1', 'lost board.x to board.x1'])
  })

  it('maxChannels of an entry forgets names of its channels, and no other channel has lost anything', async (open) => {
    const log = await open({ history: { channels: { 'board.>': { maxChannels: 2 }, 'board.x': {} } } })
    const start = await log.end()
    await log.append('a1', 'board.x1')
    const [forgotten] = await log.append('board.a1')
    await log.append('board.b1')
    await log.append('board.c1')
    assert.deepEqual(await log.after(start, 'board.a'), ['lost board.a to board.a1'])
    assert.deepEqual(await log.after(start, 'board.never'), ['lost board.never to board.a1'])
    assert.deepEqual(await log.after(start, 'board.b', 'board.c'), ['board.b1', 'board.c1'])
    for (const pattern of ['board.*', '*.a', '>']) {
      assert.ok((await log.after(start, pattern)).includes(`lost ${pattern} to board.a1`), pattern)
    }
    assert.deepEqual(await log.after(start, 'a', 'board.x', 'never', 'never.*', '*'), ['a1', 'board.x1'])
    assert.deepEqual(await log.after(forgotten!.id, 'board.never', '>'), ['board.b1', 'board.c1'])
    await log.append('new1', 'board.d1')
    assert.deepEqual(await log.after(start, 'new', '*'), ['a1', 'new1'])
  })

  it('maxChannels of the log raises the floor of the entry of a forgotten name alone', async (open) => {
    const log = await open({ history: { maxChannels: 2, channels: { 'board.>': {} } } })
    const start = await log.end()
    await log.append('board.a1')
    await log.append('board.b1')
    await log.append('c1')
    assert.deepEqual(await log.after(start, 'board.a', 'never'), ['lost board.a to board.a1'])
    assert.deepEqual(await log.after(start, '*'), ['c1'])
  })
}
