import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { HubProcess } from '../faults/hub-process.ts'
import { Publisher } from '../faults/publisher.ts'
import { type CuttingProxy, cuttingProxy } from '../support/cutting-proxy.ts'
import { launchChromium } from './browser.ts'
import type { ListenOptions, Told } from './told.ts'

const SERVER = fileURLToPath(new URL('server.ts', import.meta.url))
const PAGES = fileURLToPath(new URL('pages/', import.meta.url))
/** How long anything may take that will happen. Nothing waits for so long when it does. */
const PATIENCE_MS = 60_000

/** Who listens in a page. */
export type Kind = ListenOptions['kind']

export interface RigOptions {
  /** Between two heartbeats of the hub. Default 500. */
  readonly heartbeatMs?: number
  /** Whether pages that were left may be kept. */
  readonly backForwardCache?: boolean
}

/** A hub on a SQLite file in a separate process, a proxy in front of it, and a browser. */
export class Rig implements AsyncDisposable {
  readonly hub: HubProcess
  readonly browser: Browser
  readonly proxy: CuttingProxy
  readonly #folder: string
  readonly #publisher: Publisher

  private constructor(hub: HubProcess, browser: Browser, proxy: CuttingProxy, folder: string) {
    this.hub = hub
    this.browser = browser
    this.proxy = proxy
    this.#folder = folder
    const host = {
      get url() {
        return hub.url
      },
      random: Math.random,
      channels: [],
      faults: 0,
    }
    this.#publisher = new Publisher(host, 'event')
  }

  static async start({ heartbeatMs = 500, backForwardCache = false }: RigOptions = {}): Promise<Rig> {
    const folder = await mkdtemp(join(tmpdir(), 'e2e-'))
    await bundlePages(folder)
    const hub = new HubProcess(`sqlite:${join(folder, 'hub.db')}`, SERVER, {
      PAGES: folder,
      HEARTBEAT_MS: String(heartbeatMs),
    })
    await hub.start()
    const proxy = await cuttingProxy(Number(new URL(hub.url).port))
    return new Rig(hub, await launchChromium({ backForwardCache }), proxy, folder)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.browser.close()
    await this.proxy.close()
    await this.hub[Symbol.asyncDispose]()
    await rm(this.#folder, { recursive: true, force: true })
  }

  /** A tab with the page that listens, through the proxy if nothing else is said. */
  async open(url = `${this.proxy.url}/page.html`, context?: BrowserContext): Promise<Tab> {
    const own = context ?? (await this.browser.newContext())
    const page = await own.newPage()
    await page.goto(url)
    return new Tab(page, context === undefined ? own : undefined)
  }

  /** The same, listening. Resolves when the hub has answered it. */
  async listen(options: Partial<ListenOptions> & Pick<ListenOptions, 'kind'>, how?: ListenHow): Promise<Tab> {
    const tab = await this.open()
    await tab.listen(options, how)
    await tab.until(`count('open') > 0`)
    return tab
  }

  /** Publishes one event after the other, and returns their names. */
  async publish(count: number, channel = 'news'): Promise<string[]> {
    const uids: string[] = []
    for (let i = 0; i < count; i++) uids.push((await this.#publisher.publish(channel)).uid)
    return uids
  }

  /** Disconnects the network of a tab. Chromium's offline mode keeps open connections. */
  async takeNetwork({ page }: Tab): Promise<void> {
    await page.context().setOffline(true)
    this.proxy.cut()
  }

  /** Tells the server something that only a test would. */
  async control<T>(path: string, method = 'POST'): Promise<T> {
    const answer = await fetch(`${this.hub.url}/control/${path}`, { method })
    const text = await answer.text()
    return (text === '' ? undefined : JSON.parse(text)) as T
  }
}

export interface ListenHow {
  readonly worker?: boolean
  /** The events stay with the tab across reloads. */
  readonly lasting?: boolean
}

/** A tab of the browser that listens. */
export class Tab implements AsyncDisposable {
  readonly page: Page
  /** What the page complained of. */
  readonly errors: string[] = []
  readonly #context: BrowserContext | undefined

  /** `context`: closed with the tab. */
  constructor(page: Page, context: BrowserContext | undefined) {
    this.page = page
    this.#context = context
    page.on('pageerror', (error) => this.errors.push(String(error)))
  }

  listen(options: Partial<ListenOptions> & Pick<ListenOptions, 'kind'>, how: ListenHow = {}): Promise<void> {
    const all: ListenOptions = { url: '/channels', channels: ['news'], ...options }
    return this.page.evaluate(`tab.listen(${JSON.stringify(all)}, ${JSON.stringify(how)})`)
  }

  /** Resolves as soon as an expression on the story of this tab holds; rejects with the story when it never does. */
  async until(condition: string, ms = PATIENCE_MS): Promise<void> {
    const expression = condition.replace(/\b(count|has)\b/g, 'story.$1')
    const held = this.page.evaluate(`tab.story.until((story) => ${expression})`).then(() => true)
    held.catch(() => {})
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(resolve, ms, false)
    })
    try {
      if (await Promise.race([held, late])) return
    } finally {
      clearTimeout(timer)
    }
    const last = (await this.told()).slice(-10)
    throw new Error(`Not within ${ms} ms: ${condition}. It received: ${JSON.stringify(last)}`)
  }

  told(): Promise<Told[]> {
    return this.page.evaluate('tab.story.told')
  }

  heard(): Promise<string[]> {
    return this.page.evaluate('tab.story.heard')
  }

  count(what: Told['what']): Promise<number> {
    return this.page.evaluate(`tab.story.count('${what}')`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.page.close()
    await this.#context?.close()
  }
}

/** Makes the pages of these tests: one that listens, a worker that does, and one that does nothing. */
async function bundlePages(folder: string): Promise<void> {
  await build({
    entryPoints: [`${PAGES}page.ts`, `${PAGES}worker.ts`],
    outdir: folder,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'silent',
  })
  const page = (script: string) => `<!doctype html><meta charset="utf-8"><title>Listener</title>${script}`
  await writeFile(join(folder, 'page.html'), page('<script src="/page.js" type="module"></script>'))
  await writeFile(join(folder, 'elsewhere.html'), page(''))
}
