import type { IncomingMessage, ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { serverClockOption } from '../../src/server-clock.ts'
import { eventStream } from '../../src/stream/http-event-stream.ts'
import { resolveSseOptions, type SseOptions } from '../../src/stream/options.ts'
import { manualClock } from '../../src/testing/index.ts'

const DEFAULTS = {
  heartbeatIntervalMs: 15_000,
  retryMs: undefined,
  maxBufferedBytes: 1_048_576,
  maxLifetimeMs: 0,
  maxLagMs: 30_000,
  letGo: false,
  onError: undefined,
  clock: serverClockOption(undefined),
}

describe('options of a stream', () => {
  it.each([undefined, {}, Object.fromEntries(Object.keys(DEFAULTS).map((name) => [name, undefined]))])(
    'have defaults: %j',
    (options) => {
      expect(resolveSseOptions(options)).toEqual(DEFAULTS)
    },
  )

  it('are taken as they are', () => {
    const options = {
      heartbeatIntervalMs: 0,
      retryMs: 500,
      maxBufferedBytes: 1,
      maxLifetimeMs: 2 ** 31 - 1,
      maxLagMs: 0,
      letGo: true,
      onError: () => {},
      clock: manualClock(),
    }
    expect(resolveSseOptions(options)).toEqual(options)
  })

  const { setTimeout: _, ...noClock } = systemClock

  it.each<[keyof SseOptions, unknown]>([
    ['heartbeatIntervalMs', -1],
    ['heartbeatIntervalMs', 1.5],
    ['heartbeatIntervalMs', '15s'],
    ['heartbeatIntervalMs', Number.NaN],
    ['heartbeatIntervalMs', 2 ** 31],
    ['heartbeatIntervalMs', null],
    ['heartbeatIntervalMs', false],
    ['retryMs', 0],
    ['retryMs', 499],
    ['retryMs', 3_600_001],
    ['maxBufferedBytes', 0],
    ['maxBufferedBytes', Number.POSITIVE_INFINITY],
    ['maxLifetimeMs', -1],
    ['maxLifetimeMs', 2 ** 31],
    ['letGo', 'yes'],
    ['letGo', 1],
    ['letGo', null],
    ['onError', 'log'],
    ['onError', null],
    ['clock', 5],
    ['clock', null],
    ['clock', Date],
    ['clock', noClock],
  ])('refuse %s: %j by name', (name, value) => {
    const make = () => eventStream({} as IncomingMessage, {} as ServerResponse, { [name]: value })
    expect(make).toThrow(TypeError)
    expect(make).toThrow(name)
  })

  it('refuse a name that there is not', () => {
    expect(() => resolveSseOptions({ heartbeatMs: 5 } as SseOptions)).toThrow(
      'sse() has no option `heartbeatMs`. Its options: heartbeatIntervalMs, retryMs',
    )
  })
})

describe('systemClock', () => {
  it('is the time, and does not keep the process alive', async () => {
    expect(Math.abs(systemClock.now() - Date.now())).toBeLessThan(1_000)
    const start = systemClock.monotonic()
    const timer = systemClock.setTimeout(() => {}, 60_000) as NodeJS.Timeout
    expect(timer.hasRef()).toBe(false)
    systemClock.clearTimeout(timer)
    systemClock.clearTimeout(undefined)
    await new Promise<void>((resolve) => void systemClock.setTimeout(resolve, 1))
    expect(systemClock.monotonic()).toBeGreaterThan(start)
  })
})
