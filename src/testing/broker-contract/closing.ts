import assert from 'node:assert/strict'
import { isSseError } from '../../errors.ts'
import { manualClock } from '../manual-clock.ts'
import { ALL, type ContractIt, event, selector } from './rig.ts'

/** The promises of `close`. */
export function closing(it: ContractIt): void {
  it('a second close, at once or later, resolves', async (open) => {
    const { broker } = await open()
    await Promise.all([broker.close(), broker.close()])
    await broker.close()
  })

  it('a closed broker rejects every call as unavailable', async (open) => {
    const { broker, top } = await open()
    const of = selector('a')
    await broker.subscribe(of)
    await broker.close()
    const unavailable = { code: 'ERR_SSE_BROKER_UNAVAILABLE' }
    await assert.rejects(broker.publish([[event('a1')]]), unavailable)
    await assert.rejects(broker.subscribe(of), unavailable)
    await assert.rejects(broker.read(undefined, of, ALL), unavailable)
    await assert.rejects(broker.read(top, of, ALL), unavailable)
    await assert.rejects(broker.latest(1, of, ALL), unavailable)
    broker.unsubscribe(of)
  })

  it('close settles the publishes in progress', async (open) => {
    const log = await open()
    await log.broker.subscribe(selector('a'))
    let settled = 0
    const publishes = Array.from({ length: 10 }, async (_, i) => {
      try {
        await log.append(`a${i}`)
      } catch (error) {
        assert.ok(isSseError(error))
        assert.match(error.code, /^ERR_SSE_(BROKER_UNAVAILABLE|PUBLISH_UNKNOWN)$/)
      } finally {
        settled++
      }
    })
    await log.broker.close()
    // The settled publishes reach their callers within the turn.
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(settled, 10)
    await Promise.all(publishes)
  })

  it('a closed broker does not call its listener', async (open) => {
    const clock = manualClock()
    const log = await open({ clock })
    await log.broker.subscribe(selector('a'))
    const late = log.append('a1', 'a2').catch(() => {})
    await log.broker.close()
    const { calls } = log
    await late
    await assert.rejects(log.append('a3'))
    clock.advance(3_600_000)
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(log.calls, calls)
  })
}
