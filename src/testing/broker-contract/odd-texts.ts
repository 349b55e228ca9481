import assert from 'node:assert/strict'
import { isSseError } from '../../errors.ts'
import { type ContractIt, event, selector } from './rig.ts'

/** Texts that a store may confuse, shorten or change. Every two of them differ. */
const ODD = [
  '',
  ' ',
  'k',
  'K',
  'k ',
  ' k',
  'k\0',
  'k\0l',
  '\0k',
  '\u0001',
  'k\n',
  'k\r\n',
  '%6b',
  "k'; --",
  'k:{l}',
  'é',
  'e\u0301',
  '\u00a0',
  '\ufeffk',
  '\ufffd',
  '\uffff',
  '中',
  '😀',
  '😀😀',
  '👩‍👩‍👧',
  'k'.repeat(199),
  'k'.repeat(200),
  '😀'.repeat(100),
  'k'.repeat(10_000),
]

/** Names and keys at their limits, which come back as they were. */
export function oddTexts(it: ContractIt): void {
  it('conflation keys and data of any text come back as they were', async (open) => {
    const log = await open()
    const start = await log.end()
    await log.append(...ODD.map((text) => event('a', { data: text, conflationKey: text })))
    const { items } = await log.read(start, selector('a'))
    assert.deepEqual(
      items.map((item) => ('channels' in item ? item : [item.data, item.conflationKey])),
      ODD.map((text) => [text, text]),
    )
  })

  it('idempotency keys are different when any character is, also between channels', async (open) => {
    const log = await open()
    const start = await log.end()
    const keyed = (channel: string) => ODD.map((text, i) => event(channel, { data: `${i}`, idempotencyKey: text }))
    // `a` with the key `.b…` and `a.b` with the key `…` are two.
    const events = [...keyed('a'), ...keyed('a.b'), event('a', { data: 'x', idempotencyKey: '.bk' })]
    const first = await log.append(...events)
    assert.ok(first.every(({ duplicate }) => !duplicate))
    assert.deepEqual(
      await log.append(...events),
      first.map(({ id }) => ({ id, duplicate: true })),
    )
    assert.equal((await log.after(start, 'a', 'a.b')).length, events.length)
  })

  it('channel names of the greatest length and of every character are kept apart', async (open) => {
    const log = await open()
    const start = await log.end()
    const long = 'x'.repeat(199)
    const deep = `d${'.d'.repeat(99)}`
    const names = [
      `${long}a`,
      `${long}b`,
      `${long}A`,
      long,
      deep,
      `${deep}d`,
      'a:b',
      'a@b',
      'a-b',
      'a_b',
      'A',
      '-',
      '0',
    ]
    await log.append(...names.map((channel) => event(channel, { channel, data: channel })))
    for (const name of names) assert.deepEqual(await log.after(start, name), [name])
    assert.deepEqual(await log.after(start, 'd.>'), [deep, `${deep}d`])
    assert.deepEqual(await log.after(start, `${'*.'.repeat(99)}*`), [deep, `${deep}d`])
    assert.equal((await log.after(start, '*')).length, names.length - 2)
  })

  it('half a surrogate pair, which a hub refuses, disturbs no other group and no later call', async (open) => {
    const log = await open()
    const start = await log.end()
    const half = { data: 'half \ud83d', conflationKey: 'k\ud83d', idempotencyKey: '\ude00k' }
    await log.publish(['a1'], [event('b', half)], ['a2']).catch((error) => assert.ok(isSseError(error), String(error)))
    await log.append('a3')
    const names = (await log.after(start, 'a')).filter((name) => name !== 'a1' && name !== 'a2')
    assert.deepEqual(names, ['a3'])
    const { items } = await log.read(start, selector('b'))
    for (const item of items) assert.ok('channels' in item || item.data.startsWith('half '))
  })
}
