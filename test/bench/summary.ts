import type { About } from './about.ts'
import { hub } from './peers.ts'
import { median, type Row } from './results.ts'

/** What the README shows of a whole run: one column for each question that people ask first. */
const COLUMNS = [
  { title: 'one by one', scenario: 'fan-out', table: '1,000 subscribers, 1 under way', key: 'cpu', digits: 1 },
  { title: '2 at a time', scenario: 'fan-out', table: '1,000 subscribers, 2 under way', key: 'cpu', digits: 1 },
  { title: '16 at a time', scenario: 'fan-out', table: '1,000 subscribers, 16 under way', key: 'cpu', digits: 1 },
  { title: '500 × 10', scenario: 'channels', table: /^500 channels/, key: 'cpu', digits: 0 },
  { title: 'p99 ms', scenario: 'latency', table: /^1,000/, key: 'p99', digits: 0 },
  { title: 'µs per connect', scenario: 'connects', table: /^5,000/, key: 'cpu', digits: 0 },
  { title: 'KiB idle', scenario: 'memory', table: /default flags$/, key: 'kib', digits: 1 },
] as const

const BEGIN = '<!-- bench: written by npm run bench -->'
const END = '<!-- /bench -->'

/** The README with the summary of this run in its place; undefined when it has none, or when something was not measured. */
export function withSummary(readme: string, about: About, rows: readonly Row[]): string | undefined {
  const from = readme.indexOf(BEGIN)
  const to = readme.indexOf(END)
  const table = summaryOf(rows)
  if (from === -1 || to === -1 || table === undefined) return undefined
  const where = `${about.date}, \`${about.command}\`, ${about.machine}. ${about.versions.join(', ')}.`
  return `${readme.slice(0, from)}${BEGIN}\n${table}\n\n${where}\n${readme.slice(to)}`
}

function summaryOf(rows: readonly Row[]): string | undefined {
  const found = COLUMNS.map(({ scenario, table }) =>
    rows.filter(
      (row) => row.scenario === scenario && (typeof table === 'string' ? row.table === table : table.test(row.table)),
    ),
  )
  if (found.some((column) => !column.some(({ server }) => server === hub.title))) return undefined
  const servers = [...new Set(found[0]!.map(({ server }) => server))].toSorted(
    (a, b) => figureOf(a, 0) - figureOf(b, 0),
  )
  function figureOf(server: string, column: number): number {
    const row = found[column]!.find((row) => row.server === server)
    return median(row?.values[COLUMNS[column]!.key] ?? [])
  }
  const lines = servers.map((server) => [
    server === hub.title ? `**${server}**` : server,
    ...COLUMNS.map(({ digits }, i) => {
      const value = figureOf(server, i)
      return Number.isFinite(value) ? value.toFixed(digits) : '–'
    }),
  ])
  const head = ['Server', ...COLUMNS.map(({ title }) => title)]
  return [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}
