import { describe, expect, it } from 'vitest'
import { selector } from '../../support.ts'
import { temporaryFile } from '../support.ts'
import { Log } from './log.ts'

const a = selector('a')
const HOUR_MS = 3_600_000

describe('the time of a log', () => {
  it('continues from its last commit if the wall clock is behind, so no event is too old', async () => {
    const file = temporaryFile()
    const start = 10 * HOUR_MS
    const before = await Log.open(file, { epoch: 'first1', wallTime: start })
    before.append(start + 1_000, 'a1')
    before.close()
    const behind = await Log.open(file, { epoch: 'second', wallTime: 0 })
    expect(behind.writer.time).toBe(start + 1_000)
    expect(behind.after({ epoch: 'first1', seq: 0 }, a)).toEqual(['a1'])
    behind.append(start + 2_000, 'a2')
    behind.close()
    const ahead = await Log.open(file, { epoch: 'third3', wallTime: start + HOUR_MS + 1_500 })
    expect(ahead.after({ epoch: 'first1', seq: 0 }, a)).toEqual(['lost a to 1', 'a2'])
    ahead.close()
  })
})
