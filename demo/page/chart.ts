import uPlot from 'uplot'
import { clock } from './element.ts'

/** One line, or one kind of bars. */
export interface Series {
  readonly label: string
  /** A custom property of the style sheet, such as `--live`: it differs between light and dark. */
  readonly color: string
  readonly kind: 'area' | 'line' | 'bars'
}

export interface ChartOptions {
  readonly label: string
  readonly series: readonly Series[]
  /** How much of the past is shown. */
  readonly seconds: number
  /** The scale is never smaller than up to here. */
  readonly least: number
  readonly format: (value: number) => string
}

/** Columns: times in seconds, then the values of each series. */
export type Columns = [number[], ...(number | null)[][]]

/** A chart of the last seconds, as large as its host, in the colours of the page. */
export class Chart {
  readonly #plot: uPlot
  #data: Columns | undefined
  #frame = 0

  constructor(host: HTMLElement, { label, series, seconds, least, format }: ChartOptions) {
    host.setAttribute('role', 'img')
    host.setAttribute('aria-label', label)
    const color = (name: string) => getComputedStyle(host).getPropertyValue(name)
    const axis: uPlot.Axis = {
      stroke: () => color('--soft'),
      grid: { stroke: () => color('--grid'), width: 1 },
      ticks: { show: false },
      font: '11px system-ui, sans-serif',
    }
    const bars = uPlot.paths.bars!({ size: [0.8, 6], align: 0 })
    const options: uPlot.Options = {
      ...sizeOf(host),
      padding: [8, 4, 0, 0],
      legend: { show: false },
      cursor: { show: false },
      scales: {
        x: { time: true, range: (_plot, _min, max) => [max - seconds, max] },
        y: { range: (_plot, _min, max) => [0, Math.max(least, (max ?? 0) * 1.15)] },
      },
      axes: [
        { ...axis, size: 22, gap: 4, space: 90, values: timesOf },
        { ...axis, size: 46, gap: 4, space: 32, values: (_plot, splits) => splits.map(format) },
      ],
      series: [
        {},
        ...series.map(
          ({ label, color: name, kind }): uPlot.Series => ({
            label,
            stroke: () => color(name),
            width: kind === 'bars' ? 0 : 1.5,
            points: { show: false },
            ...(kind === 'bars' && { paths: bars, fill: () => color(name) }),
            ...(kind === 'area' && { fill: () => color(`${name}-area`) }),
          }),
        ),
      ],
    }
    this.#plot = new uPlot(options, [[], ...series.map(() => [])] as unknown as uPlot.AlignedData, host)
    new ResizeObserver(() => {
      this.#plot.setSize(sizeOf(host))
    }).observe(host)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#plot.redraw(false))
  }

  /** Drawn with the next frame, and once however often it is called until then. */
  draw(data: Columns): void {
    this.#data = data
    if (this.#frame !== 0) return
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0
      this.#plot.setData(this.#data as uPlot.AlignedData)
    })
  }
}

/** No time where it would be cut off at the right. */
function timesOf(plot: uPlot, splits: number[]): string[] {
  const { min = 0, max = 0 } = plot.scales['x']!
  const end = max - ((max - min) * 30) / (plot.bbox.width / devicePixelRatio)
  return splits.map((at) => (at > end ? '' : clock(at * 1000)))
}

/** The style sheet decides on it. */
function sizeOf(host: HTMLElement): { width: number; height: number } {
  return { width: Math.max(host.clientWidth, 100), height: Math.max(host.clientHeight, 60) }
}
