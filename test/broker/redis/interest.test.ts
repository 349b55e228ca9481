import { describe, expect, it } from 'vitest'
import { LinkEnded } from '../../../src/broker/redis/failure.ts'
import { Interest } from '../../../src/broker/redis/interest.ts'
import type { Link } from '../../../src/broker/redis/link.ts'
import { selector } from '../../../src/testing/broker-contract/rig.ts'
import { type Deferred, deferred, turn } from './stepped.ts'

/** A link whose confirmations the test gives, one after the other. */
class SteppedLink {
  /** The commands that were sent: `+` joins, `-` leaves. */
  readonly sent: string[] = []
  readonly endings: unknown[] = []
  #answer: Deferred<void> | undefined

  subscribe(channels: readonly string[]): Promise<void> {
    return this.#send('+', channels)
  }

  unsubscribe(channels: readonly string[]): Promise<void> {
    return this.#send('-', channels)
  }

  end(error: unknown): void {
    this.endings.push(error)
  }

  #send(sign: string, channels: readonly string[]): Promise<void> {
    expect(this.#answer, 'one command is in progress at a time').toBeUndefined()
    this.sent.push(`${sign}${channels.length > 3 ? channels.length : channels.join(' ')}`)
    this.#answer = deferred()
    return this.#answer.promise
  }

  async confirm(): Promise<void> {
    const answer = this.#answer!
    this.#answer = undefined
    answer.resolve()
    await turn()
  }

  async fail(error: unknown): Promise<void> {
    const answer = this.#answer!
    this.#answer = undefined
    answer.reject(error)
    await turn()
  }
}

function interestOf() {
  const left: string[] = []
  let changes = 0
  const interest = new Interest('p:', { changed: () => changes++, left: (channel) => left.push(channel) })
  return {
    interest,
    left,
    get changes() {
      return changes
    },
    async joined(link = new SteppedLink()) {
      const done = interest.join(link as unknown as Link)
      await turn()
      return { link, done }
    },
  }
}

describe('the channels that a node listens to', () => {
  it('are joined one command at a time, with what was wanted meanwhile in the next one', async () => {
    const { interest, joined } = interestOf()
    const { link, done } = await joined()
    await done
    interest.add(selector('a'))
    interest.add(selector('b', 'c.*'))
    interest.add(selector('a'))
    expect(link.sent).toEqual(['+p:e:a'])
    await link.confirm()
    expect(link.sent).toEqual(['+p:e:a', '+p:e:b p:w:c'])
    expect([interest.isConfirmed(selector('a')), interest.isConfirmed(selector('b'))]).toEqual([true, false])
    await link.confirm()
    expect(interest.isConfirmed(selector('a', 'b', 'c.*'))).toBe(true)
  })

  it('are kept when a channel is wanted again before it was left', async () => {
    const { interest, joined, left } = interestOf()
    interest.add(selector('a'))
    const { link, done } = await joined()
    await link.confirm()
    await done
    interest.add(selector('b'))
    interest.remove(selector('a'))
    interest.add(selector('a'))
    await link.confirm()
    expect(link.sent).toEqual(['+p:e:a', '+p:e:b'])
    expect(interest.isConfirmed(selector('a', 'b'))).toBe(true)
    expect(left).toEqual([])
  })

  it('are joined again when a channel is wanted while it is left', async () => {
    const { interest, joined, left } = interestOf()
    interest.add(selector('a'))
    const { link, done } = await joined()
    await link.confirm()
    await done
    interest.remove(selector('a'))
    interest.add(selector('a'))
    expect(interest.isConfirmed(selector('a'))).toBe(false)
    await link.confirm()
    await link.confirm()
    expect(link.sent).toEqual(['+p:e:a', '-p:e:a', '+p:e:a'])
    expect(left).toEqual(['e:a'])
    expect(interest.isConfirmed(selector('a'))).toBe(true)
  })

  it('match by name and by pattern', () => {
    const { interest } = interestOf()
    interest.add(selector('a', 'b.*'))
    interest.add(selector('b.*'))
    interest.remove(selector('b.*'))
    const matching = ['a', 'b.x', 'b', 'c'].filter((name) => interest.all.matches(name))
    expect(matching).toEqual(['a', 'b.x'])
    interest.remove(selector('a', 'b.*'))
    expect(interest.all).toMatchObject({ channels: [], patterns: [] })
    expect(interest.all.matches('b.x')).toBe(false)
  })

  it('take a command for each 1,000', async () => {
    const { interest, joined } = interestOf()
    interest.add(selector(...Array.from({ length: 2_500 }, (_, i) => `c${i}`)))
    const { link, done } = await joined()
    for (let i = 0; i < 3; i++) await link.confirm()
    await done
    expect(link.sent).toEqual(['+1000', '+1000', '+500'])
  })

  it('are confirmed by the present link alone', async () => {
    const fleet = interestOf()
    const { interest, joined } = fleet
    const first = await joined()
    await first.done
    interest.add(selector('a'))
    interest.leave()
    const second = await joined()
    // The confirmation of the old link arrives late.
    await first.link.confirm()
    expect(interest.isConfirmed(selector('a'))).toBe(false)
    expect(fleet.changes).toBe(0)
    await second.link.confirm()
    await second.done
    expect(interest.isConfirmed(selector('a'))).toBe(true)
  })

  it('are all joined again after a link that ended while it joined', async () => {
    const { interest, joined } = interestOf()
    interest.add(selector('a'))
    const first = await joined()
    const failed = expect(first.done).rejects.toBeInstanceOf(LinkEnded)
    interest.leave()
    await first.link.fail(new LinkEnded(undefined))
    await failed
    interest.add(selector('b'))
    const second = await joined()
    expect(second.link.sent).toEqual(['+p:e:a p:e:b'])
    await second.link.confirm()
    await second.done
    expect(interest.isConfirmed(selector('a', 'b'))).toBe(true)
  })

  it('end the link when the server refuses one: its subscribers would have no events', async () => {
    const { interest, joined } = interestOf()
    const { link, done } = await joined()
    await done
    interest.add(selector('a'))
    const refusal = new Error('NOPERM No permissions to access a channel')
    await link.fail(refusal)
    expect(link.endings).toEqual([refusal])
  })

  it('do not end a link that has ended', async () => {
    const { interest, joined } = interestOf()
    const { link, done } = await joined()
    await done
    interest.add(selector('a'))
    await link.fail(new LinkEnded(undefined))
    expect(link.endings).toEqual([])
  })
})
