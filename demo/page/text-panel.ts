import { type Connection, visitor } from './connection.ts'
import { element } from './element.ts'

/** A text that comes word by word over a native `EventSource`, which is all that a plain stream needs. */
export class TextPanel {
  readonly #box = element('text')
  readonly #button = element('text-read', HTMLButtonElement)
  readonly #says = element('text-says')
  #source: EventSource | undefined

  constructor({ hear }: Connection) {
    this.#button.addEventListener('click', () => {
      if (this.#source === undefined) this.#read()
      else this.#stop('Stopped.')
    })
    hear('visitor.*', (data, { event }) => {
      if (event !== 'text' || !('total' in data)) return
      const { reason, to, total } = data
      if (reason === 'closed') this.#says.textContent = `You left, and the server stopped at word ${to} of ${total}.`
    })
  }

  #read(): void {
    this.#box.textContent = ''
    this.#button.textContent = 'Stop'
    this.#source = new EventSource(`/text?visitor=${visitor}`)
    this.#source.onmessage = ({ data, lastEventId }) => {
      const { text, of } = JSON.parse(data)
      this.#says.textContent = `Word ${lastEventId} of ${of}`
      const atEnd = this.#box.scrollTop + this.#box.clientHeight >= this.#box.scrollHeight - 20
      this.#box.append(text)
      if (atEnd) this.#box.scrollTop = this.#box.scrollHeight
    }
    this.#source.addEventListener('hub.finished', () => this.#stop('That was all of it.'))
    this.#source.onerror = () => {
      if (this.#source?.readyState === EventSource.CLOSED) this.#stop('The server does not want to read now.')
      else this.#says.textContent = 'Interrupted. It will resume where it stopped …'
    }
  }

  #stop(text: string): void {
    this.#source?.close()
    this.#source = undefined
    this.#button.textContent = 'Read to me'
    this.#says.textContent = text
  }
}
