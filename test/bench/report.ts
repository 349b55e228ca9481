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
  const cores = about.pinned ? 'each on a core of its own' : 'which share their cores here'
  const measured = scenarios.filter(({ name }) => rows.some(({ scenario }) => scenario === name))
  return `# Benchmark

${about.date}, \`${about.command}\`, on ${about.machine}. ${about.versions.join(', ')}.

Server and load client are processes of their own, ${cores}. CPU time is that of the server, with all its threads and
workers, as the operating system counts it. An event has an ID and 150 bytes of data, if nothing else is said. Figures are
medians over all rounds; the first column also has the least and the greatest, and × says how many times the figure of
${hub.title} it is. *foreign* is how many cores other processes were using meanwhile: where it is far from 0, look
elsewhere. Each event carries a number, and every connection is checked for those that are lost, come twice or come in
another order.

Each library is used as its README shows, so better-sse and express-sse send the text as JSON. History is 1,000 events where
there is one. The joined loops write once per turn of the loop what was published in it; none of the bare loops has a check
or a limit of any kind. nginx leaves it to the kernel to hold back small writes until the one before is acknowledged, which
costs no CPU time but makes few deliveries a second of nchan where several events are under way. The logs on a disk are on that
of the repository; who measures without a load client has every core.

${chart ? '![CPU time per delivery](results.svg)\n\n' : ''}${measured.map((scenario) => [headOf(scenario), tablesOf(scenario, rows)].join('\n')).join('\n')}`
}
