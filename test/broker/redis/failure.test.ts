import { describe, expect, it } from 'vitest'
import {
  isElsewhere,
  isRefusal,
  LinkEnded,
  LogProblem,
  unavailable,
  unknown,
} from '../../../src/broker/redis/failure.ts'
import { SseError } from '../../../src/errors.ts'

describe('a failure of Redis', () => {
  it.each<[string, unknown, string]>([
    ['an error reply', new Error('OOM command not allowed'), 'Redis is out of memory (maxmemory).'],
    ['an error of the connection', new Error('connect ECONNREFUSED'), 'Redis cannot be reached.'],
    ['no error', 'a text', 'Redis cannot be reached.'],
    ['an end without a reason', new LinkEnded(undefined), 'Redis cannot be reached.'],
    ['an end with a reason', new LinkEnded(new Error('LOADING')), 'Redis is loading its data.'],
    ['a problem of the server', new LinkEnded(new LogProblem('It is too old.')), 'It is too old.'],
    ['an error with a detail', new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'It is closed.'), 'It is closed.'],
  ])('that is %s has a meaning for the operator', (_, error, meaning) => {
    expect(unavailable(error)).toMatchObject({ code: 'ERR_SSE_BROKER_UNAVAILABLE', detail: meaning, cause: error })
    expect(unknown(error).detail).toMatch(meaning)
  })

  it('is a refusal if nothing was executed', () => {
    expect(isRefusal(new Error('NOREPLICAS Not enough good replicas to write.'))).toBe(true)
    expect(isRefusal(new Error(`OOM command not allowed. script: ${'a'.repeat(40)}, on @user_script:7.`))).toBe(false)
    expect(isRefusal(new Error('ERR unknown command'))).toBe(false)
    expect(isRefusal('OOM')).toBe(false)
  })

  it('sends the node to another server if this one is not the master, or not ready', () => {
    expect(['READONLY x', 'LOADING', 'REPLICA x'].map((text) => isElsewhere(new Error(text)))).toEqual([
      true,
      true,
      true,
    ])
    expect(['OOM x', 'READONLYS', 'x READONLY'].some((text) => isElsewhere(new Error(text)))).toBe(false)
  })
})
