import { describe, expect, it } from 'vitest'
import { randomOf } from '../support/random.ts'
import { REDIS_MISSING } from '../support/redis-server.ts'
import { type FleetFault, tryFleet } from './fleet.ts'
import * as nemesis from './nemesis/redis.ts'

const SEED = Number(process.env['FAULTS_SEED'] ?? Math.floor(Math.random() * 1e6))
const ROUNDS = Number(process.env['FAULTS_ROUNDS'] ?? 1)
process.stdout.write(`FAULTS_SEED=${SEED} FAULTS_ROUNDS=${ROUNDS}\n`)

const { serverFrozen, ...others } = nemesis
const FAULTS: readonly FleetFault[] = [...Object.values(others), serverFrozen(5_000)]
const times = (n: number, fault: FleetFault) => Array.from({ length: n }, () => fault)

describe.skipIf(REDIS_MISSING).each(Array.from({ length: ROUNDS }, (_, i) => SEED + i))('a fleet, seed %d', (seed) => {
  it.each(FAULTS.map((fault) => [fault.name, fault] as const))(
    '10 times: %s',
    { timeout: 900_000 },
    async (_, fault) => {
      expect(await tryFleet({ seed, faults: times(10, fault) })).toBeGreaterThan(20)
    },
  )

  it('SIGSTOP of the server for 30 s', { timeout: 300_000 }, async () => {
    expect(await tryFleet({ seed, faults: [serverFrozen(30_000)] })).toBeGreaterThan(20)
  })

  it('pairs of faults by chance', { timeout: 900_000 }, async () => {
    const random = randomOf(seed)
    const some = FAULTS.filter(({ lossy, server }) => !lossy && server!.length === 0)
    const pick = () => some[Math.floor(random() * some.length)]!
    const pair = (one: FleetFault, other: FleetFault): FleetFault => ({
      name: `${one.name}, and ${other.name}`,
      lossy: false,
      strike: async (target) => void (await Promise.all([one.strike(target), other.strike(target)])),
    })
    const faults = Array.from({ length: 10 }, () => pair(pick(), pick()))
    expect(await tryFleet({ seed, faults })).toBeGreaterThan(20)
  })
})
