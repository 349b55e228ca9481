import { element, make } from './element.ts'

const LINES = 300
/** A longer line is cut in the picture, not on the wire. */
const WIDTH = 220

/** The event stream as it arrives, before the client has parsed it. */
export class WirePanel {
  readonly #box = element('wire')
  readonly #pause = element('wire-pause', HTMLButtonElement)
  /** The beginning of a line whose end has not come yet. */
  #rest = ''
  #waiting: string[] = []
  #paused = false
  #bytes = 0

  constructor() {
    this.#pause.addEventListener('click', () => {
      this.#paused = !this.#paused
      this.#pause.textContent = this.#paused ? 'Go on' : 'Pause'
      this.#draw()
    })
  }

  head(response: Response): void {
    this.#rest = ''
    this.#add([`HTTP ${response.status} ${response.headers.get('Content-Type') ?? ''}`])
  }

  text(text: string): void {
    this.#bytes += text.length
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()!
    this.#add(lines)
  }

  #add(lines: readonly string[]): void {
    const first = this.#waiting.length === 0
    this.#waiting.push(...lines)
    if (this.#waiting.length > LINES) this.#waiting.splice(0, this.#waiting.length - LINES)
    if (first) requestAnimationFrame(() => this.#draw())
  }

  #draw(): void {
    if (this.#paused) return
    element('wire-bytes').textContent = `${(this.#bytes / 1000).toFixed(0)} kB`
    this.#box.append(...this.#waiting.map(lineOf))
    this.#waiting = []
    while (this.#box.childElementCount > LINES) this.#box.firstElementChild!.remove()
    this.#box.scrollTop = this.#box.scrollHeight
  }
}

function lineOf(text: string): HTMLElement {
  if (text.startsWith('HTTP')) return make('div', text, 'head')
  if (text.startsWith(':')) return make('div', text, 'comment')
  const [, field, value] = /^(\w+): ?(.*)$/.exec(text) ?? []
  if (field === undefined) return make('div', text || '\u00a0')
  const line = make('div', '', field)
  const shown = value!.length > WIDTH ? `${value!.slice(0, WIDTH)} …` : value!
  line.append(make('span', `${field}:`, 'field'), ' ', make('span', shown))
  return line
}
