import { Chart } from './chart.ts'

const SECONDS = 60
const PER_SECOND = 10

/** How late each number arrived: a flat line while all is well, a slope for each time that something was caught up with. */
export class LatenessChart {
  readonly #chart: Chart
  readonly #times: number[] = []
  readonly #live: (number | null)[] = []
  readonly #replayed: (number | null)[] = []
  /** The clocks of the server and of this page differ; the earliest arrival is taken for none too late. */
  #least = Number.POSITIVE_INFINITY

  constructor(host: HTMLElement) {
    this.#chart = new Chart(host, {
      label: 'How late each number of the last minute arrived, in seconds. Numbers that were replayed come late.',
      series: [
        { label: 'live', color: '--live', kind: 'bars' },
        { label: 'replayed', color: '--replayed', kind: 'bars' },
      ],
      seconds: SECONDS,
      least: 1,
      format: (value) => `${value} s`,
    })
  }

  add(publishedAt: number, arrivedAt: number, kind: 'live' | 'replayed'): void {
    this.#least = Math.min(this.#least, arrivedAt - publishedAt)
    // Never quite nothing: a number that came at once is to be seen as well.
    const late = Math.max(0.03, (arrivedAt - publishedAt - this.#least) / 1000)
    this.#times.push(publishedAt / 1000)
    this.#live.push(kind === 'live' ? late : null)
    this.#replayed.push(kind === 'live' ? null : late)
    if (this.#times.length > SECONDS * PER_SECOND)
      for (const column of [this.#times, this.#live, this.#replayed]) column.shift()
    this.#chart.draw([this.#times, this.#live, this.#replayed])
  }
}
