import type { JobProgress } from '../channels.ts'
import { ask, type Connection } from './connection.ts'
import { element, make, prepend } from './element.ts'

const PAST = 5

/** A job that the visitor starts: its progress comes on the page's own channel, so it survives whatever is broken. */
export class JobPanel {
  readonly #start = element('job-start', HTMLButtonElement)
  readonly #cancel = element('job-cancel', HTMLButtonElement)
  readonly #bar = element('job-bar', HTMLProgressElement)
  #job: string | undefined
  /** A short job may have ended before the answer to its start is there. */
  #ended: string | undefined

  constructor({ client, hear }: Connection) {
    hear('visitor.*', (data, { event }) => {
      if (event === 'job' && 'kind' in data) this.#show(data)
    })
    element('job-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#begin()
    })
    this.#cancel.addEventListener('click', () => this.#ask(() => ask('DELETE', `/jobs/${this.#job}`)))
    client.on('open', () => void this.#stillThere())
  }

  async #begin(): Promise<void> {
    const kind = element('job-kind', HTMLSelectElement).value
    const folder = element('job-folder', HTMLSelectElement).value
    await this.#ask(async () => {
      const { id } = await (await ask('POST', '/jobs', { kind, folder })).json()
      if (id !== this.#ended) this.#run(id)
    })
  }

  /** A job ends with its process, and a killed process reports nothing. */
  async #stillThere(): Promise<void> {
    const id = this.#job
    if (id === undefined) return
    // Its end may be on the way.
    await new Promise((resolve) => setTimeout(resolve, 1_000))
    if (this.#job !== id || (await ask('GET', `/jobs/${id}`).catch(() => undefined)) !== undefined || this.#job !== id)
      return
    element('job-says').textContent = 'It has ended with the server that was killed.'
    this.#run(undefined)
  }

  #show(progress: JobProgress): void {
    const { id, kind, folder, state, files, totalFiles, bytes, totalBytes, ms, says } = progress
    const seconds = Math.max(ms, 1) / 1000
    const counted = `${files.toLocaleString('en')} of ${totalFiles.toLocaleString('en')} files`
    const speed = `${(bytes / 1e6).toFixed(1)} MB, ${(bytes / 1e6 / seconds).toFixed(0)} MB/s`
    if (state === 'counting') this.#bar.removeAttribute('value')
    else {
      this.#bar.max = Math.max(totalBytes, 1)
      this.#bar.value = totalBytes === 0 ? 1 : bytes
    }
    element('job-says').textContent =
      state === 'counting' ? `Counting: ${totalFiles.toLocaleString('en')} files` : `${counted}, ${speed}`
    element('job-at').textContent = state === 'running' || state === 'counting' ? says : ''
    if (state === 'counting' || state === 'running') return this.#run(id)
    this.#ended = id
    this.#run(undefined)
    const item = make('li', '', state)
    item.append(
      make('strong', `${kind === 'gzip' ? 'Compressing' : 'Hashing'} ${folder}: ${state}`),
      ` after ${seconds.toFixed(1)} s, ${counted}. `,
      make('code', says),
    )
    prepend(element('job-past'), item, PAST)
  }

  #run(id: string | undefined): void {
    const was = this.#job
    this.#job = id
    this.#start.disabled = id !== undefined
    this.#cancel.disabled = id === undefined
    // The button that was pressed is the one that goes: the focus must not go with it.
    if (was === undefined && id !== undefined && document.activeElement === document.body) this.#cancel.focus()
  }

  async #ask(act: () => Promise<unknown>): Promise<void> {
    const refused = element('job-refused')
    refused.textContent = ''
    try {
      await act()
    } catch (error) {
      refused.textContent = (error as Error).message
    }
  }
}
