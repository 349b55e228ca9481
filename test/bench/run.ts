import { setTimeout as sleep } from 'node:timers/promises'
import { aboutThisRun } from './about.ts'
import { HOW_TO_INSTALL, nchan } from './nchan.ts'
import { type Options, readOptions } from './options.ts'
import { type Peer, peers } from './peers.ts'
import { headOf, tablesOf } from './report.ts'
import { Results } from './results.ts'
import { pinned, Server, startLoad } from './rig.ts'
import { type Figures, type Mode, type Scenario, Unable, type Variant } from './scenario.ts'
import { channels } from './scenarios/channels.ts'
import { connects } from './scenarios/connects.ts'
import { durable, durablePace } from './scenarios/durable.ts'
import { durableFanOut } from './scenarios/durable-fan-out.ts'
import { fanOut } from './scenarios/fan-out.ts'
import { growth } from './scenarios/growth.ts'
import { inProcess } from './scenarios/in-process.ts'
import { largeLog } from './scenarios/large-log.ts'
import { latency } from './scenarios/latency.ts'
import { memory } from './scenarios/memory.ts'
import { posts } from './scenarios/posts.ts'
import { reconnects } from './scenarios/reconnects.ts'
import { slowReaders } from './scenarios/slow-readers.ts'
import { writeResults } from './write.ts'

const SCENARIOS = [
  fanOut,
  channels,
  inProcess,
  posts,
  latency,
  memory,
  connects,
  reconnects,
  slowReaders,
  growth,
  durable,
  durablePace,
  durableFanOut,
  largeLog,
] as const
const SIZE = 150
/** No run takes this long unless something hangs. */
const HANGS_MS = 300_000

/** Since the start. */
function elapsed(): string {
  return `${Math.round(performance.now() / 1_000)} s`.padStart(6)
}

async function once(peer: Peer, variant: Variant, mode: Mode): Promise<readonly Figures[]> {
  const starting = [Server.start(peer, variant.flags), startLoad()] as const
  try {
    const [server, load] = await Promise.all(starting)
    await load.use(server, variant.size ?? SIZE)
    const hangs = sleep(HANGS_MS, undefined, { ref: false }).then(() => {
      throw new Error(`no end after ${HANGS_MS / 1_000} s`)
    })
    return await Promise.race([variant.run({ peer, server, client: load.client, mode }), hangs])
  } catch (error) {
    if (error instanceof Unable) throw error
    const [server] = await Promise.allSettled(starting)
    const end =
      server.status === 'fulfilled' && !server.value.alive ? `the server has ended: ${server.value.errors}` : ''
    throw new Unable(`failed: ${messageOf(error)} ${end}`.trim())
  } finally {
    for (const started of await Promise.allSettled(starting)) {
      if (started.status === 'fulfilled') await started.value.stop()
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function optionsOrEnd(): Options {
  try {
    return readOptions(process.argv.slice(2), SCENARIOS)
  } catch (error) {
    console.error(messageOf(error))
    process.exit(1)
  }
}

/** Round 1 of all servers, then round 2 of all: what disturbs the machine for a while disturbs all alike. */
async function runAll(scenario: Scenario, variant: Variant, taking: readonly Peer[], rounds: number, mode: Mode) {
  const unable = new Map<Peer, string>()
  const before = results.rows.length
  for (let round = 1; round <= rounds; round++) {
    for (const peer of taking) {
      if (unable.has(peer) || (variant.flags !== undefined && !peer.isNode)) continue
      process.stderr.write(`${elapsed()} ${scenario.name}, ${variant.name}, round ${round}: ${peer.title}\n`)
      try {
        for (const figures of await once(peer, variant, mode)) results.add(scenario.name, peer.title, figures)
      } catch (error) {
        if (!(error instanceof Unable)) throw error
        unable.set(peer, error.message)
      }
    }
  }
  const tables = new Set(results.rows.slice(before).map(({ table }) => table))
  for (const [{ title }, note] of unable) {
    for (const table of tables.size > 0 ? tables : [variant.name]) {
      results.add(scenario.name, title, { table, values: {}, foreignCores: Number.NaN, note })
    }
  }
  console.log(tablesOf(scenario, results.rows.slice(before)))
}

const results = new Results()
const options = optionsOrEnd()
const taking = peers.filter(({ name }) => options.servers.includes(name))
const about = aboutThisRun(process.argv.slice(2), taking)
if (nchan === undefined) console.log(HOW_TO_INSTALL)
if (!pinned) console.log('Server and load client share the cores: there is only one, or no taskset.')

for (const scenario of options.scenarios) {
  console.log(headOf(scenario))
  for (const variant of scenario.variants(options.mode)) {
    await runAll(scenario, variant, scenario.peers(taking), scenario.isSteady ? 1 : options.rounds, options.mode)
  }
  // Each time all of it, so that nothing is lost when the rest is not waited for.
  if (options.write) writeResults(about, options.scenarios, results.rows)
}
process.exit()
