import { writeFileSync } from 'node:fs'
import type { About } from './about.ts'
import { chart } from './chart.ts'
import { report } from './report.ts'
import type { Row } from './results.ts'
import type { Scenario } from './scenario.ts'

const write = (name: string, text: string) => writeFileSync(new URL(name, import.meta.url), text)

/** Puts the report, its chart and the raw figures beside this file. */
export function writeResults(about: About, scenarios: readonly Scenario[], rows: readonly Row[]): void {
  const svg = chart(rows)
  if (svg !== undefined) write('results.svg', svg)
  write('results.md', report(about, scenarios, rows, svg !== undefined))
  // A row is a line, so that a diff can be read.
  const lines = rows.map((row) => `  ${JSON.stringify(row)}`)
  write('results.json', `{"about": ${JSON.stringify(about)}, "rows": [\n${lines.join(',\n')}\n]}\n`)
}
