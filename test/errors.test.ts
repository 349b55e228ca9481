import { describe, expect, it } from 'vitest'
import { isSseError, SseError } from '../src/errors.ts'

describe('SseError', () => {
  it('has the fields that error handlers of Express look at', () => {
    const error = new SseError('ERR_SSE_CHANNEL_UNKNOWN', 'No such channel here.')
    expect(error).toBeInstanceOf(Error)
    expect(error).toMatchObject({
      name: 'SseError',
      message: 'No such channel here.',
      detail: 'No such channel here.',
      code: 'ERR_SSE_CHANNEL_UNKNOWN',
      title: 'Unknown channel',
      status: 404,
      statusCode: 404,
      expose: true,
    })
    expect(error.headers).toBeUndefined()
    expect('cause' in error).toBe(false)
  })

  it('takes headers, a cause and another status', () => {
    const cause = new Error('inner')
    const error = new SseError('ERR_SSE_OVERLOADED', 'Later.', { cause, headers: { 'Retry-After': '5' }, status: 429 })
    expect(error).toMatchObject({ cause, headers: { 'Retry-After': '5' }, status: 429, statusCode: 429 })
    expect(new SseError('ERR_SSE_OVERLOADED', 'Later.', { headers: undefined }).headers).toBeUndefined()
  })

  it('shows nothing internal as JSON', () => {
    const error = new SseError('ERR_SSE_BROKER_UNAVAILABLE', 'Later.', { cause: new Error('secret') })
    expect(JSON.stringify(error)).not.toContain('secret')
    expect(Object.keys(error)).not.toContain('stack')
  })
})

describe('isSseError', () => {
  it('knows errors of this and of another copy of the package', async () => {
    expect(isSseError(new SseError('ERR_SSE_REWIND', 'x'))).toBe(true)
    const other = Object.assign(new Error('x'), { [Symbol.for('express-sse-hub.SseError')]: true })
    expect(isSseError(other)).toBe(true)
  })

  it.each([undefined, null, 'ERR_SSE_REWIND', 5, {}, new Error('x'), { code: 'ERR_SSE_REWIND' }])(
    'does not know %s',
    (value) => {
      expect(isSseError(value)).toBe(false)
    },
  )
})
