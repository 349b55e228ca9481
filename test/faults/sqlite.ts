import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { check } from './checkers.ts'
import { diskFull, smallDisk } from './nemesis/full-disk.ts'
import type { Nemesis } from './nemesis.ts'
import { run } from './run.ts'

/** Runs faults against a hub on a new file and checks the story. `disk`: on a separate small disk. */
export async function tryFaults(
  seed: number,
  faults: (file: string) => readonly Nemesis[],
  { loadMs = 300, disk = false } = {},
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'faults-'))
  const mounted = disk ? smallDisk(folder) : undefined
  const file = join(folder, 'hub.db')
  try {
    if (disk && mounted === undefined) throw new Error('A small disk is needed; see above.')
    const story = await run({ broker: `sqlite:${file}`, seed, faults: faults(file), loadMs })
    expect(check(story), `seed ${seed}`).toEqual([])
    return story.log.length
  } finally {
    mounted?.[Symbol.dispose]()
    await rm(folder, { recursive: true, force: true })
  }
}

export { diskFull }
