import { createHash } from 'node:crypto'
import { APPEND } from './lua/append.ts'
import { PROBE, SET_ASIDE, TRIM } from './lua/housekeeping.ts'
import { NAMES, ORDER } from './lua/names.ts'
import { LATEST, READ } from './lua/read.ts'

/** A script, and its name on the server after it is loaded. */
export interface Script {
  readonly text: string
  readonly sha: string
}

function script(text: string): Script {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

export const append = script(APPEND)
export const probe = script(PROBE)
export const trim = script(TRIM)
export const setAside = script(SET_ASIDE)
export const read = script(READ)
export const latest = script(LATEST)
export const order = script(ORDER)
export const names = script(NAMES)

export const ALL_SCRIPTS: readonly Script[] = [append, probe, trim, setAside, read, latest, order, names]
