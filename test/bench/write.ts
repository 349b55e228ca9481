import { spawnSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { About } from './about.ts'
import { chart } from './chart.ts'
import { report } from './report.ts'
import type { Row } from './results.ts'
import type { Scenario } from './scenario.ts'
import { withSummary } from './summary.ts'

/** The documents with a table that the benchmark writes. */
const DOCUMENTS = ['../../README.md', '../../src/broker/sqlite/README.md']

const write = (name: string, text: string) => writeFileSync(new URL(name, import.meta.url), text)

/** Writes the report, its chart and the raw figures beside this file, and the summaries of a whole run into the READMEs. */
export function writeResults(about: About, scenarios: readonly Scenario[], rows: readonly Row[]): void {
  const svg = chart(rows)
  if (svg !== undefined) write('results.svg', svg)
  write('results.md', report(about, scenarios, rows, svg !== undefined))
  for (const path of DOCUMENTS) {
    const file = new URL(path, import.meta.url)
    writeFileSync(file, withSummary(readFileSync(file, 'utf8'), about, rows))
  }
  write('results.json', JSON.stringify({ about, rows: rows.map(withoutNothing) }))
  // It is checked like any other file.
  spawnSync('npx', ['biome', 'format', '--write', fileURLToPath(new URL('results.json', import.meta.url))])
}

/** A row without what says that nothing was wrong. */
function withoutNothing({ faults, notes, ...row }: Row): object {
  const wrong = Object.values(faults).some((n) => n > 0)
  return { ...row, ...(wrong && { faults }), ...(notes.length > 0 && { notes }) }
}
