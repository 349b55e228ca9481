import type { ListenOptions, Told } from '../told.ts'
import { listen } from './listen.ts'

// What every page of these tests runs: it listens as it is told to by the test, and keeps what it hears.

/** What this page was told, and whoever waits for it. */
class Story {
  told: Told[] = []
  #waiting: (() => void)[] = []

  count(what: Told['what']): number {
    return this.told.filter((one) => one.what === what).length
  }

  /** The names of the events, in order. */
  get heard(): string[] {
    return this.told.flatMap((one) => (one.what === 'event' ? [one.uid] : []))
  }

  get states(): string[] {
    return this.told.flatMap((one) => (one.what === 'state' ? [one.state] : []))
  }

  has(uid: string): boolean {
    return this.told.some((one) => one.what === 'event' && one.uid === uid)
  }

  tell(told: Told): void {
    this.told.push(told)
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves as soon as it holds. */
  async until(condition: (story: Story) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}

/** Where a story goes on after the page was loaded again. */
const KEPT = 'story'

class Tab {
  readonly story = new Story()
  /** Ends what listens. */
  stop = () => {}
  #worker: Worker | undefined

  /** `lasting`: what is told stays with the tab when the page is loaded again. */
  listen(options: ListenOptions, { worker = false, lasting = false } = {}): void {
    if (lasting) this.story.told = JSON.parse(sessionStorage.getItem(KEPT) ?? '[]')
    const tell = (told: Told): void => {
      this.story.tell(told)
      if (lasting) sessionStorage.setItem(KEPT, JSON.stringify(this.story.told))
    }
    if (worker) {
      this.#worker = new Worker('/worker.js', { type: 'module' })
      this.#worker.onmessage = ({ data }: MessageEvent<Told>) => tell(data)
      this.#worker.postMessage(options)
      this.stop = () => this.#worker?.terminate()
    } else {
      this.stop = listen(options, tell)
    }
  }
}

Object.assign(globalThis, { tab: new Tab() })
