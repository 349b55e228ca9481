import type { About } from './about.ts'
import { durableHub, hub, rawSqlite } from './peers.ts'
import { median, type Row } from './results.ts'

/** What the README shows of a whole run: one column for each question that people ask first. */
const COLUMNS = [
  { title: 'one by one', scenario: 'fan-out', table: '1,000 subscribers, 1 in flight', key: 'cpu', digits: 1 },
  { title: '2 at a time', scenario: 'fan-out', table: '1,000 subscribers, 2 in flight', key: 'cpu', digits: 1 },
  { title: '16 at a time', scenario: 'fan-out', table: '1,000 subscribers, 16 in flight', key: 'cpu', digits: 1 },
  { title: '500 × 10', scenario: 'channels', table: /^500 channels/, key: 'cpu', digits: 0 },
  { title: 'p99 ms', scenario: 'latency', table: /^1,000/, key: 'p99', digits: 0 },
  { title: 'µs per connect', scenario: 'connects', table: /^5,000/, key: 'cpu', digits: 0 },
  { title: 'KiB idle', scenario: 'memory', table: /default flags$/, key: 'kib', digits: 1 },
] as const

/** The same of the log on a disk: one line for each question. `by` compares with another server in the same table. */
const DURABLE = [
  {
    title: 'Receipt at 5,000 events a second, p50',
    scenario: 'durable-pace',
    table: /^5,000/,
    key: 'ack50',
    unit: 'ms',
  },
  { title: '… p99', scenario: 'durable-pace', table: /^5,000/, key: 'ack99', unit: 'ms' },
  { title: '… `fdatasync` alone, p50', scenario: 'durable-pace', table: /^5,000/, key: 'sync50', unit: 'ms' },
  {
    title: 'Event loop delay at 20,000 events a second, p99',
    scenario: 'durable-pace',
    table: /^20,000/,
    key: 'delay99',
    unit: 'ms',
  },
  {
    title: 'Published 128 at a time',
    scenario: 'durable',
    table: /^128 at a time$/,
    key: 'rate',
    unit: 'events/s',
    by: rawSqlite.title,
  },
  {
    title: 'Published 1,000 at a time with `publishAll`',
    scenario: 'durable',
    table: /^1,000 .* publishAll/,
    key: 'rate',
    unit: 'events/s',
    by: rawSqlite.title,
  },
  {
    title: 'CPU per delivery, 1,000 subscribers',
    scenario: 'durable-fan-out',
    table: /1 in flight$/,
    key: 'cpu',
    unit: 'µs',
    by: hub.title,
  },
  {
    title: 'Open a log of 1,000,000 events',
    scenario: 'large-log',
    table: /^1,000,000 events: open/,
    key: 'p50',
    unit: 'ms',
  },
  {
    title: 'Read 200 of them, of one channel, in the middle',
    scenario: 'large-log',
    table: /^1,000,000.*one channel, in the middle/,
    key: 'p50',
    unit: 'ms',
  },
  { title: 'Its file, full', scenario: 'large-log', table: /^1,000,000 events: made/, key: 'mib', unit: 'MiB' },
  {
    title: 'Its file, when twice as much was published on',
    scenario: 'large-log',
    table: /^1,000,000 events: twice/,
    key: 'mib',
    unit: 'MiB',
  },
] as const

/** What each summary stands between. */
const PLACES = [
  ['<!-- bench: written by npm run bench -->', '<!-- /bench -->', summaryOf],
  ['<!-- bench of the log on a disk: written by npm run bench -->', '<!-- /bench of the log on a disk -->', durableOf],
] as const

/**
 * The README with the summaries of this run in their places. A table stays unchanged if the run did not measure all of
 * it.
 */
export function withSummary(readme: string, about: About, rows: readonly Row[]): string {
  const where = `${about.date}, \`${about.command}\`, ${about.machine}. ${about.versions.join(', ')}.`
  return PLACES.reduce((text, [begin, end, tableOf]) => {
    const [from, to, table] = [text.indexOf(begin), text.indexOf(end), tableOf(rows)]
    if (from === -1 || to === -1 || table === undefined) return text
    return `${text.slice(0, from)}${begin}\n${table}\n\n${where}\n${text.slice(to)}`
  }, readme)
}

function durableOf(all: readonly Row[]): string | undefined {
  const figure = (server: string, { scenario, table, key }: (typeof DURABLE)[number]): number => {
    const row = all.find((row) => row.scenario === scenario && row.server === server && table.test(row.table))
    return median(row?.values[key] ?? [])
  }
  const lines = DURABLE.map((line) => {
    const value = figure(durableHub.title, line)
    const other = 'by' in line ? `, ${Number((value / figure(line.by, line)).toPrecision(2))} × ${line.by}` : ''
    const text = value.toLocaleString('en-US', { maximumSignificantDigits: 3 })
    return { value, row: `| ${line.title} | ${text} ${line.unit}${other} |` }
  })
  if (lines.some(({ value }) => Number.isNaN(value))) return undefined
  return ['| | |', '|---|--:|', ...lines.map(({ row }) => row)].join('\n')
}

/** Without fan-out there is nothing to show; other columns that were not measured are left out. */
function summaryOf(rows: readonly Row[]): string | undefined {
  const columns = COLUMNS.map((column) => {
    const { scenario, table } = column
    const isOf = (row: Row) => (typeof table === 'string' ? row.table === table : table.test(row.table))
    return { ...column, rows: rows.filter((row) => row.scenario === scenario && isOf(row)) }
  }).filter(({ rows }) => rows.some(({ server }) => server === hub.title))
  if (columns[0]?.scenario !== 'fan-out') return undefined
  const figureOf = (server: string, { rows, key }: (typeof columns)[number]): number =>
    median(rows.find((row) => row.server === server)?.values[key] ?? [])
  const servers = [...new Set(columns[0].rows.map(({ server }) => server))].toSorted(
    (a, b) => figureOf(a, columns[0]!) - figureOf(b, columns[0]!),
  )
  const lines = servers.map((server) => [
    server === hub.title ? `**${server}**` : server,
    ...columns.map((column) => {
      const value = figureOf(server, column)
      return Number.isFinite(value) ? value.toFixed(column.digits) : '–'
    }),
  ])
  const head = ['Server', ...columns.map(({ title }) => title)]
  return [head, head.map((_, i) => (i === 0 ? '---' : '--:')), ...lines]
    .map((cells) => `| ${cells.join(' | ')} |`)
    .join('\n')
}
