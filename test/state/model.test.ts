import { expect, it } from 'vitest'
import { type Setting, StateSchedule } from './schedule.ts'

const RUNS = Number(process.env['STATE_RUNS'] ?? 150)
const SEED = Number(process.env['STATE_SEED'] ?? 1)

/** Mulberry32: a schedule is its seed. */
function randomOf(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) % below
  }
}

const settings: Setting[] = [false, true].flatMap((failOver) =>
  [false, true].flatMap((trim) =>
    [0, 5].flatMap((rewind) =>
      [0, 1_000].flatMap((maxAgeMs) =>
        [1, 3].map((pageEvents): Setting => ({ failOver, trim, rewind, maxAgeMs, pageEvents })),
      ),
    ),
  ),
)

it.each(settings)(
  'the state of each client is that of the database in the end: %o',
  {
    timeout: 600_000,
  },
  async (setting) => {
    let snapshots = 0
    for (let seed = SEED; seed < SEED + RUNS; seed++) {
      const schedule = new StateSchedule(setting)
      const random = randomOf(seed)
      if (seed % 2 === 0) await schedule.goLive()
      const length = 40 + random(200)
      for (let i = 0; i < length; i++) await schedule.take(random)
      expect(await schedule.finish(), `seed ${seed}`).toEqual([])
      snapshots += schedule.snapshots
    }
    // Schedules without snapshots would prove nothing.
    expect(snapshots).toBeGreaterThan(RUNS)
  },
)
