import type { About } from './about.ts'
import { durableHub, hub } from './peers.ts'
import { median, type Row } from './results.ts'
import type { Column, Scenario } from './scenario.ts'

/** What others are compared with, if it took part; else the next one. */
const OURS: readonly string[] = [hub.title, durableHub.title]

/** `12.3 (11.9–14.0)`: the median, and the extremes where there were several rounds. */
function spread(values: readonly number[] | undefined, digits: number): string {
  if (values === undefined || values.length === 0) return '–'
  const text = number(median(values), digits)
  if (values.length === 1) return text
  return `${text} (${number(Math.min(...values), digits)}–${number(Math.max(...values), digits)})`
}

function number(value: number, digits: number): string {
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

function faultsOf({ faults: { lost, duplicated, reordered, stray } }: Row): string {
  const stranger = stray === 0 ? '' : ` (${stray} of another channel)`
  return `${[lost, duplicated, reordered].map((n) => number(n, 0)).join(' / ')}${stranger}`
}

/** How many times the value of this library. */
function ratio(row: Row, ours: Row | undefined, key: string): string {
  const times = median(row.values[key] ?? []) / median(ours?.values[key] ?? [])
  return Number.isFinite(times) ? number(times, 2) : '–'
}

function tableOf(rows: readonly Row[], columns: readonly Column[]): string[] {
  const ours = OURS.flatMap((title) => rows.filter(({ server }) => server === title))[0]
  const [first, ...others] = columns.filter(({ key }) => rows.some(({ values }) => values[key] !== undefined))
  // Nobody could do it: there are only notes.
  if (first === undefined) return rows.map(({ server, notes }) => `- ${server}: ${notes.join('; ')}`)
  const head = ['server', first.title, '×', ...others.map(({ title }) => title), 'lost / twice / disordered', 'foreign']
  const body = rows
    .toSorted((a, b) => order(a, first.key) - order(b, first.key))
    .map((row) => [
      OURS.includes(row.server) ? `**${row.server}**` : row.server,
      spread(row.values[first.key], first.digits),
      ratio(row, ours, first.key),
      ...others.map(({ key, digits }) => {
        const values = row.values[key]
        return values === undefined || values.length === 0 ? '–' : number(median(values), digits)
      }),
      faultsOf(row),
      row.foreignCores.length === 0 ? '–' : number(median(row.foreignCores), 2),
    ])
  const lines = [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...body]
  const notes = rows.filter((row) => row.notes.length > 0).map((row) => `${row.server}: ${row.notes.join('; ')}.`)
  return [...lines.map((cells) => `| ${cells.join(' | ')} |`), ...(notes.length > 0 ? ['', ...notes] : [])]
}

/** Those without a figure come last. */
function order(row: Row, key: string): number {
  const value = median(row.values[key] ?? [])
  return Number.isNaN(value) ? Number.POSITIVE_INFINITY : value
}

export function headOf({ title, about }: Scenario): string {
  return `## ${title}\n\n${about}\n`
}

/** All tables of a scenario. */
export function tablesOf({ name, columns }: Scenario, all: readonly Row[]): string {
  const rows = all.filter(({ scenario }) => scenario === name)
  return [...new Set(rows.map(({ table }) => table))]
    .map((table) => {
      const lines = tableOf(
        rows.filter((row) => row.table === table),
        columns,
      )
      return `### ${table}\n\n${lines.join('\n')}\n`
    })
    .join('\n')
}

export function report(about: About, scenarios: readonly Scenario[], rows: readonly Row[], chart: boolean): string {
  const cores = about.pinned ? 'each on a separate core' : 'which share their cores here'
  const measured = scenarios.filter(({ name }) => rows.some(({ scenario }) => scenario === name))
  return `# Benchmark

${about.date}, \`${about.command}\`, on ${about.machine}. ${about.versions.join(', ')}.

Server and load client are separate processes, ${cores}. CPU time is the time of the server, with all its threads and
workers, as the operating system counts it. An event has an ID and 150 bytes of data unless stated otherwise. Figures are
medians of all rounds. The first column also has the minimum and the maximum, and × is the ratio to the figure of
${hub.title}. *foreign* is the number of cores that other processes used during the run: ignore a row where it is far from 0.
Each event carries a number, and every connection is checked for events that are lost, repeated or out of order.

Each library is used as its README shows, so better-sse and express-sse send the text as JSON. A server with history keeps
1,000 events. The joined loops write the events of one turn of the loop together; the bare loops have no checks or limits.
nginx lets the kernel delay small writes until the previous one is acknowledged. That costs no CPU time, but few deliveries a
second with several events in flight. The logs on a disk use the disk of the repository; a server without a load client has
every core.

${chart ? '![CPU time per delivery](results.svg)\n\n' : ''}${measured.map((scenario) => [headOf(scenario), tablesOf(scenario, rows)].join('\n')).join('\n')}`
}
