import { describe, expect, it } from 'vitest'
import { isElsewhere } from '../../../src/broker/redis/failure.ts'
import type { Link } from '../../../src/broker/redis/link.ts'
import { LogTime } from '../../../src/broker/redis/log-time.ts'
import { order, probe, type Script } from '../../../src/broker/redis/scripts.ts'
import { Seen } from '../../../src/broker/redis/seen.ts'
import { Session } from '../../../src/broker/redis/session.ts'
import { manualClock } from '../../../src/testing/index.ts'
import { FakeServer, settingsWith } from './stepped.ts'

/** A session on a link that gives these answers to reads in turn, the last one again and again. */
function sessionWith(...answers: unknown[][]) {
  const ran: string[] = []
  const run = async (script: Script) => {
    ran.push(script === probe ? 'probe' : 'read')
    if (script === probe) return ['BBBBBB', 4]
    return answers.length > 1 ? answers.shift() : answers[0]
  }
  const seen = new Seen()
  const state = { node: 'n', time: new LogTime(manualClock()), seen }
  const session = new Session({ run } as unknown as Link, settingsWith(new FakeServer().connect), state)
  return { session, seen, ran }
}

describe('a read of the log', () => {
  it('starts a new epoch first when one is due', async () => {
    const { session, seen, ran } = sessionWith(['fence'], ['ok', 'BBBBBB', 5])
    expect(await session.read(order, [])).toEqual(['ok', 'BBBBBB', 5])
    expect(ran).toEqual(['read', 'probe', 'read'])
    expect(seen.cursor).toEqual({ epoch: 'BBBBBB', seq: 5 })
  })

  it('starts a new epoch when the log ends before a position of the same epoch that the node has seen', async () => {
    const { session, seen, ran } = sessionWith(['ok', 'AAAAAA', 8], ['ok', 'BBBBBB', 8])
    seen.add({ epoch: 'AAAAAA', seq: 9 })
    expect(await session.read(order, [])).toEqual(['ok', 'BBBBBB', 8])
    expect(ran).toEqual(['read', 'probe', 'read'])
  })

  it('of a replica is an error for which the node looks for its master', async () => {
    const { session, ran } = sessionWith(['replica'])
    const error = await session.read(order, []).catch((error) => error)
    expect(isElsewhere(error)).toBe(true)
    expect(ran).toEqual(['read'])
  })

  it('ends after five new epochs: two servers take turns', async () => {
    const { session, ran } = sessionWith(['fence'])
    await expect(session.read(order, [])).rejects.toThrow('keeps changing')
    expect(ran.filter((one) => one === 'probe')).toHaveLength(5)
  })
})
