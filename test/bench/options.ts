import { parseArgs } from 'node:util'
import { peers } from './peers.ts'
import { fileLimit } from './proc.ts'
import type { Mode, Scenario } from './scenario.ts'

export interface Options {
  readonly mode: Mode
  readonly rounds: number
  readonly scenarios: readonly Scenario[]
  readonly servers: readonly string[]
  /** Whether the results replace those beside this file. */
  readonly write: boolean
}

/** What takes part in a quick run. */
const QUICK_SERVERS = ['hub', 'better-sse', 'express-loop', 'bare-joined']
/** What a quick run leaves out, unless it is asked for: it has two minutes. */
const LONG_SCENARIOS = ['durable', 'large-log']
/** Files that a server has open besides its streams. */
const SPARE_FILES = 200

const USAGE = `npm run bench -- [--quick] [--only <scenario,…>] [--servers <server,…>] [--rounds <n>] [--write]`

export function readOptions(args: readonly string[], all: readonly Scenario[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      quick: { type: 'boolean', default: false },
      only: { type: 'string' },
      servers: { type: 'string' },
      rounds: { type: 'string' },
      write: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  const scenarioNames = all.map(({ name }) => name)
  const serverNames = peers.map(({ name }) => name)
  if (values.help)
    throw new Error(`${USAGE}\nscenarios: ${scenarioNames.join(', ')}\nservers: ${serverNames.join(', ')}`)
  const { quick } = values
  const only = pick('scenario', values.only, scenarioNames)
  const servers = pick('server', values.servers, serverNames)
  const rounds = Number(values.rounds ?? (quick ? 1 : 3))
  if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds: ${values.rounds} is not a number of rounds`)
  return {
    mode: {
      quick,
      warmMs: quick ? 150 : 500,
      warmPostsMs: quick ? 1_000 : 2_000,
      measureMs: quick ? 350 : 1_500,
      connectMs: quick ? 10_000 : 20_000,
      maxStreams: fileLimit() - SPARE_FILES,
    },
    rounds,
    scenarios: all.filter(({ name }) => only?.includes(name) ?? !(quick && LONG_SCENARIOS.includes(name))),
    servers: servers ?? (quick ? serverNames.filter((name) => QUICK_SERVERS.includes(name)) : serverNames),
    write: values.write || (!quick && only === undefined && servers === undefined),
  }
}

function pick(what: string, given: string | undefined, known: readonly string[]): string[] | undefined {
  const names = given?.split(',')
  const unknown = names?.find((name) => !known.includes(name))
  if (unknown !== undefined) throw new Error(`there is no ${what} ${unknown}: ${known.join(', ')}`)
  return names
}
