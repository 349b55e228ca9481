import { describe, expect, it } from 'vitest'
import { randomOf } from '../support/random.ts'
import { diskFull } from './nemesis/full-disk.ts'
import { clockStepped, crashLoop, deployed, frozen, killed, killedUnderLoad } from './nemesis/process.ts'
import { backupRestored, walCutShort } from './nemesis/sqlite-file.ts'
import type { Nemesis } from './nemesis.ts'
import { tryFaults } from './sqlite.ts'

const SEED = Number(process.env['FAULTS_SEED'] ?? Math.floor(Math.random() * 1e6))
const ROUNDS = Number(process.env['FAULTS_ROUNDS'] ?? 1)
process.stdout.write(`FAULTS_SEED=${SEED} FAULTS_ROUNDS=${ROUNDS}\n`)

const times = (n: number, fault: Nemesis) => Array.from({ length: n }, () => fault)

describe.each(Array.from({ length: ROUNDS }, (_, i) => SEED + i))('a hub on a SQLite file, seed %d', (seed) => {
  it.each<[string, (file: string) => readonly Nemesis[], object?]>([
    ['20 kills, every client reconnected before new events', () => times(20, killed)],
    ['20 kills under load', () => times(20, killedUnderLoad)],
    ['crash loops', () => times(5, crashLoop)],
    ['deploys', () => times(5, deployed)],
    ['freezes', () => times(5, frozen)],
    ['a stepped clock', () => times(3, clockStepped)],
    ['a write-ahead log that is cut short', (file) => times(5, walCutShort(file))],
    ['an older copy', (file) => times(5, backupRestored(file))],
    ['a full disk', (file) => [diskFull(file), killed, diskFull(file)], { disk: true }],
    [
      'pairs of faults by chance',
      (file) => {
        const random = randomOf(seed)
        const all = [
          killed,
          killedUnderLoad,
          crashLoop,
          deployed,
          frozen,
          clockStepped,
          walCutShort(file),
          backupRestored(file),
        ]
        return Array.from({ length: 10 }, () => all[Math.floor(random() * all.length)]!)
      },
    ],
  ])('%s', { timeout: 600_000 }, async (_, faults, options) => {
    expect(await tryFaults(seed, faults, options)).toBeGreaterThan(100)
  })
})
