import { ask, type Connection } from './connection.ts'
import { clock, element, make, prepend } from './element.ts'
import { LatenessChart } from './lateness-chart.ts'
import { type Counts, Tally } from './tally.ts'

const LINES = 50

/** Buttons that break the connection, and what becomes of numbers that come ten times a second. */
export class BreakPanel {
  readonly #tally = new Tally()
  readonly #chart = new LatenessChart(element('lateness'))
  readonly #journal = element('journal')
  /** The last number that was published when the connection was made. */
  #publishedBefore = 0
  /** What the page begins with is history, and nothing of it was owed to this page. */
  #firstLive: number | undefined
  /** While the connection is too slow, the hub replays the events it could not push. */
  #lagging = false
  /** Set while the connection is not live. */
  #broken: { readonly at: number; readonly replayed: number } | undefined

  constructor({ client, hear }: Connection) {
    hear('beat', ({ n, at }) => this.#beat(n, at))
    hear('visitor.*', (data, { event }) => {
      if (event !== 'connection' || !('what' in data)) return
      this.#lagging = data.what === 'lagging'
      const text = this.#lagging
        ? 'Too slow: the hub serves you from its log.'
        : 'Your connection has its full speed again.'
      this.#note(text, data.at)
    })
    client.on('gap', ({ reason, channels }) => {
      if (!channels.includes('beat')) return
      this.#tally.gap()
      this.#show()
      this.#note(`Missing events were reported: ${reason}.`, Date.now(), 'gap')
    })
    client.on('state', (state) => {
      if (state === 'open' || this.#broken !== undefined || this.#firstLive === undefined) return
      this.#broken = { at: Date.now(), replayed: this.#tally.counts.replayed }
      this.#note('The connection is lost.', Date.now(), 'lost')
    })
    element('break-buttons').addEventListener('click', ({ target }) => {
      const button = target instanceof Element ? target.closest('button') : null
      if (button !== null) void this.#break(button)
    })
    void this.#offerRestart()
  }

  /** With each response: numbers up to this one are a replay. */
  connected(response: Response): void {
    this.#publishedBefore = Number(response.headers.get('X-Beat'))
    this.#lagging = false
    this.#firstLive ??= this.#publishedBefore + 1
  }

  #beat(n: number, at: number): void {
    if (this.#firstLive !== undefined && n < this.#firstLive && this.#tally.counts.gaps === 0) return
    const kind = this.#tally.number(n, this.#lagging ? Number.POSITIVE_INFINITY : this.#publishedBefore)
    if (kind !== 'duplicated') this.#chart.add(at, Date.now(), kind)
    if (kind === 'live' && this.#broken !== undefined) {
      const { at: lostAt, replayed } = this.#broken
      this.#broken = undefined
      const seconds = ((Date.now() - lostAt) / 1000).toFixed(1)
      const count = this.#tally.counts.replayed - replayed
      const what = count === 0 ? 'nothing had to be replayed' : `${count} numbers were replayed`
      this.#note(`Live again after ${seconds} s: ${what}.`, Date.now(), 'live')
    }
    this.#show()
  }

  #show(): void {
    for (const [name, count] of Object.entries(this.#tally.counts) as [keyof Counts, number][]) {
      const field = element(`count-${name}`)
      field.textContent = count.toLocaleString('en')
      if (name === 'lost' || name === 'duplicated') field.dataset['state'] = count === 0 ? 'good' : 'bad'
    }
  }

  async #break(button: HTMLButtonElement): Promise<void> {
    const refused = element('break-refused')
    refused.textContent = ''
    this.#note(button.dataset['note']!, Date.now(), 'broken')
    try {
      await ask('POST', `/break/${button.value}`)
    } catch (error) {
      refused.textContent = (error as Error).message
    }
  }

  async #offerRestart(): Promise<void> {
    const { mayRestart } = await (await ask('GET', '/config')).json()
    element('no-restart').hidden = mayRestart
    for (const value of ['restart', 'kill']) element(`break-${value}`, HTMLButtonElement).disabled = !mayRestart
  }

  #note(text: string, at: number, kind = 'note'): void {
    const item = make('li', '', kind)
    item.append(make('time', clock(at)), ' ', text)
    prepend(this.#journal, item, LINES)
  }
}
