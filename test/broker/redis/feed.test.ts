import { describe, expect, it } from 'vitest'
import { type BrokerListener, isLoss } from '../../../src/broker/broker.ts'
import { decodeEntry, encodeEntry } from '../../../src/broker/redis/entry.ts'
import { Feed } from '../../../src/broker/redis/feed.ts'
import { event } from '../../../src/testing/broker-contract/rig.ts'

const OWN = 'h:node'
const turn = () => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
const at = (seq: number, epoch = 'AAAAAA') => ({ epoch, seq })

/** The message of an event, such as `a5`: the event 5 of channel a, whose previous one is `prev`. */
function message(name: string, prev = 0, { epoch = 'AAAAAA', isNew = false } = {}): [channel: string, text: string] {
  const [channel, seq] = [name[0]!, Number(name.slice(1))]
  const entry = `${seq} ${prev} 1 ${encodeEntry(event(name))}`
  return [`e:${channel}`, `${epoch} ${channel}${isNew ? ' n' : ''}\n${entry}`]
}

function item(name: string, prev = 0) {
  const [, text] = message(name, prev)
  return decodeEntry(text, text.indexOf('\n') + 1, 'AAAAAA', name[0]!)
}

function feedAt(seq: number) {
  const told: string[] = []
  let foreign = 0
  const listener: BrokerListener = {
    events: (batch, top) =>
      told.push(
        `${batch.map((one) => (isLoss(one) ? `lost ${one.channels} ${one.seq}` : one.data)).join(' ')} to ${top.seq}`,
      ),
    suspect: (top) => told.push(`suspect to ${top.epoch}.${top.seq}`),
  }
  const feed = new Feed(listener, OWN, at(seq), () => foreign++)
  return {
    feed,
    told,
    get foreign() {
      return foreign
    },
    hear: (...given: Parameters<typeof message>) => feed.message(...message(...given)),
    live() {
      feed.hold()
      feed.resume({ top: at(seq), items: [] })
    },
  }
}

describe('the feed of a node', () => {
  it('hands over what one turn brings as one batch, and each event once', async () => {
    const { live, hear, told } = feedAt(4)
    live()
    hear('a5')
    hear('b6')
    hear('b6')
    hear('a5')
    await turn()
    hear('a7', 5)
    await turn()
    expect(told).toEqual(['a5 b6 to 6', 'a7 to 7'])
  })

  it('moves the top by its own channel, when nothing it listens to was published', async () => {
    const { feed, live, told } = feedAt(4)
    live()
    feed.message(OWN, 'AAAAAA 9')
    feed.message(OWN, 'AAAAAA 8')
    await turn()
    feed.message(OWN, 'AAAAAA 9')
    await turn()
    expect(told).toEqual([' to 9'])
  })

  it('hears nothing before a sync: a message that came early would hide what is still missing', async () => {
    const { feed, live, hear, told } = feedAt(4)
    live()
    feed.down()
    hear('a9')
    feed.hold()
    hear('a10')
    hear('b11')
    await turn()
    expect(told).toEqual([])
    feed.resume({ top: at(10), items: [item('a5'), item('a10', 5)] })
    await turn()
    expect(told).toEqual(['a5 a10 to 10', 'b11 to 11'])
  })

  it('hands over what a lost link had brought before what a sync has found', async () => {
    const { feed, live, hear, told } = feedAt(4)
    live()
    hear('a5')
    feed.down()
    feed.hold()
    feed.resume({ top: at(6), items: [item('a6', 5)] })
    await turn()
    expect(told).toEqual(['a5 to 5', 'a6 to 6'])
  })

  it('says so when a sync could not read everything', async () => {
    const { feed, live, hear, told } = feedAt(4)
    live()
    feed.hold()
    hear('a20')
    hear('a31')
    feed.resume({ top: at(30), items: undefined })
    await turn()
    expect(told).toEqual(['suspect to AAAAAA.30', 'a31 to 31'])
    expect(feed.suspects).toBe(1)
  })

  it('tells an event that did not come as a loss before the next one of its channel', async () => {
    const { feed, live, hear, told } = feedAt(4)
    live()
    hear('a5')
    hear('b7')
    hear('a8', 6)
    await turn()
    expect(told).toEqual(['a5 b7 lost a 7 a8 to 8'])
    expect(feed.holes).toBe(1)
  })

  it('takes no hole for one where a channel was forgotten, joined late, or left in between', async () => {
    const { feed, live, hear, told } = feedAt(4)
    live()
    hear('a5', 3)
    hear('a8', 7, { isNew: true })
    feed.left('e:a')
    hear('a12', 11)
    feed.left('w:')
    hear('a20', 15)
    await turn()
    expect(told).toEqual(['a5 a8 a12 a20 to 20'])
    expect(feed.holes).toBe(0)
  })

  it('asks for a sync at a message of another life, and goes on in it', async () => {
    const fed = feedAt(4)
    const { feed, live, hear, told } = fed
    live()
    hear('a5')
    hear('a6', 5, { epoch: 'BBBBBB' })
    hear('a7', 6, { epoch: 'BBBBBB' })
    expect([fed.foreign, feed.state]).toEqual([1, 'syncing'])
    feed.resume({ top: at(6, 'BBBBBB'), items: [item('a6', 5)] })
    hear('b8', 0, { epoch: 'AAAAAA' })
    await turn()
    expect(told).toEqual(['a5 to 5', 'a6 to 6', 'a7 to 7'])
    expect([fed.foreign, feed.state]).toEqual([1, 'live'])
  })

  it('ignores a life that is not that of the log: another database with the same prefix', async () => {
    const fed = feedAt(4)
    const { feed, live, hear, told } = fed
    live()
    hear('a9', 0, { epoch: 'CCCCCC' })
    feed.resume({ top: at(4), items: [] })
    hear('a10', 0, { epoch: 'CCCCCC' })
    hear('a5')
    await turn()
    expect(told).toEqual(['a5 to 5'])
    expect(fed.foreign).toBe(1)
  })

  it('drops what is too much to hold, and says so: the sync reads again', () => {
    const { feed, live, hear } = feedAt(4)
    live()
    feed.hold()
    for (let i = 0; i <= 10_000; i++) hear(`a${i + 5}`, i + 4)
    expect(feed.overflowed).toBe(true)
    feed.hold()
    expect(feed.overflowed).toBe(false)
  })

  it('asks for a sync again at a life that it has ignored, when 64 others came after it', () => {
    const fed = feedAt(4)
    const { feed, live, hear } = fed
    live()
    const hearOf = (i: number) => {
      hear('a9', 0, { epoch: `C${`${i}`.padStart(5, '0')}` })
      if (feed.state === 'syncing') feed.resume({ top: at(4), items: [] })
    }
    for (let i = 0; i < 64; i++) hearOf(i)
    hearOf(0)
    expect(fed.foreign).toBe(64)
    hearOf(64)
    hearOf(1)
    expect(fed.foreign).toBe(65)
    hearOf(0)
    expect(fed.foreign).toBe(66)
  })

  it('remembers the last events of at most 100,000 channels: it takes nothing for a hole after that', async () => {
    const { feed, live, hear } = feedAt(4)
    live()
    hear('a5')
    for (let i = 1; i <= 100_000; i++) {
      if (i === 100_000) hear('a100006', 100_005)
      feed.message(`e:c${i}`, `AAAAAA c${i}\n${i + (i === 100_000 ? 10 : 5)} 0 1 ${encodeEntry(event('c1'))}`)
    }
    expect(feed.holes).toBe(1)
    hear('a100020', 100_015)
    expect(feed.holes).toBe(1)
  })

  it('hands over nothing of a sync that ends after it was closed', async () => {
    const { feed, live, hear, told } = feedAt(4)
    live()
    feed.hold()
    hear('a6')
    feed.close()
    feed.resume({ top: at(5), items: [item('a5')] })
    await turn()
    feed.resume({ top: at(9), items: undefined })
    expect(told).toEqual([])
  })

  it('is silent when it is closed', async () => {
    const { feed, live, hear, told } = feedAt(4)
    live()
    hear('a5')
    feed.close()
    await turn()
    expect(told).toEqual([])
  })
})
