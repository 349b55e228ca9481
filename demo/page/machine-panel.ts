import type { MachineSample } from '../channels.ts'
import { Chart, type Columns } from './chart.ts'
import type { Connection } from './connection.ts'
import { element } from './element.ts'

const SECONDS = 60
const SAMPLES = 2 * SECONDS
/** Two samples further apart than this have no line between them: the server was not there. */
const HOLE_MS = 1_600
const GIB = 2 ** 30

const gib = (bytes: number) => bytes / GIB

const CHARTS = [
  {
    name: 'cpu',
    label: 'CPU in percent, over the last minute',
    series: [{ label: 'CPU', color: '--accent', kind: 'area' }],
    least: 100,
    format: (value: number) => `${value} %`,
    values: ({ cpuPercent }: MachineSample) => [cpuPercent],
    says: ({ cpuPercent }: MachineSample) => `${cpuPercent.toFixed(0)} %`,
  },
  {
    name: 'memory',
    label: 'Memory in use, in GiB, over the last minute',
    series: [{ label: 'memory', color: '--accent', kind: 'area' }],
    least: 1,
    format: (value: number) => `${value}`,
    values: ({ memoryUsedBytes }: MachineSample) => [gib(memoryUsedBytes)],
    says: ({ memoryUsedBytes, memoryTotalBytes }: MachineSample) =>
      `${gib(memoryUsedBytes).toFixed(1)} of ${gib(memoryTotalBytes).toFixed(1)} GiB`,
  },
  {
    name: 'load',
    label: 'Load, over the last minute',
    series: [{ label: 'load', color: '--accent', kind: 'area' }],
    least: 1,
    format: (value: number) => `${value}`,
    values: ({ load }: MachineSample) => [load],
    says: ({ load }: MachineSample) => load.toFixed(2),
  },
  {
    name: 'delay',
    label: 'Delay of the event loop in milliseconds, median and 99th percentile, over the last minute',
    series: [
      { label: 'p99', color: '--replayed', kind: 'line' },
      { label: 'p50', color: '--accent', kind: 'line' },
    ],
    least: 5,
    format: (value: number) => `${value} ms`,
    values: ({ eventLoopDelay: { p50, p99 } }: MachineSample) => [p99, p50],
    says: ({ eventLoopDelay: { p99 } }: MachineSample) => `p99 ${p99.toFixed(1)} ms`,
  },
] as const

/** What the machine does, in four charts. */
export function showMachine({ hear }: Connection): void {
  const samples: MachineSample[] = []
  const charts = CHARTS.map((one) => {
    const chart = new Chart(element(`chart-${one.name}`), { ...one, seconds: SECONDS })
    return { ...one, chart, value: element(`value-${one.name}`) }
  })
  hear('machine', (sample) => {
    // Kept from before this sample had a time.
    if (sample.at === undefined) return
    samples.push(sample)
    if (samples.length > SAMPLES) samples.shift()
    for (const { chart, series, value, values, says } of charts) {
      value.textContent = says(sample)
      chart.draw(columnsOf(samples, series.length, values))
    }
  })
}

function columnsOf(
  samples: readonly MachineSample[],
  count: number,
  values: (sample: MachineSample) => readonly number[],
): Columns {
  const columns: Columns = [[], ...Array.from({ length: count }, () => [])]
  let before: number | undefined
  const push = (at: number, row: readonly (number | null)[]) => {
    columns[0].push(at / 1000)
    for (const [i, value] of row.entries()) (columns[i + 1] as (number | null)[]).push(value)
  }
  for (const sample of samples) {
    if (before !== undefined && sample.at - before > HOLE_MS) push(before + 1, Array(count).fill(null))
    push(sample.at, values(sample))
    before = sample.at
  }
  return columns
}
