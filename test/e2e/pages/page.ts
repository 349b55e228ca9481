import type { ListenOptions, Told } from '../told.ts'
import { listen } from './listen.ts'

// Every page of these tests runs this: it listens as the test requests, and keeps the events.

/** The events of this page, and the waiting calls. */
class Story {
  readonly told: Told[] = []
  /** The names of the events, in order. */
  readonly heard: string[] = []
  readonly #uids = new Set<string>()
  readonly #counts = new Map<string, number>()
  #waiting: (() => void)[] = []

  count(what: Told['what']): number {
    return this.#counts.get(what) ?? 0
  }

  has(uid: string): boolean {
    return this.#uids.has(uid)
  }

  tell(told: Told): void {
    this.told.push(told)
    this.#counts.set(told.what, this.count(told.what) + 1)
    if (told.what === 'event') {
      this.heard.push(told.uid)
      this.#uids.add(told.uid)
    }
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  /** Resolves as soon as it holds. */
  async until(condition: (story: Story) => boolean): Promise<void> {
    while (!condition(this)) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }
}

/** The place where a story continues after a reload. */
const KEPT = 'story'

class Tab {
  readonly story = new Story()
  /** Ends what listens. */
  stop = () => {}
  #worker: Worker | undefined

  /** `lasting`: the events stay with the tab across reloads. */
  listen(options: ListenOptions, { worker = false, lasting = false } = {}): void {
    if (lasting) for (const told of JSON.parse(sessionStorage.getItem(KEPT) ?? '[]')) this.story.tell(told)
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
