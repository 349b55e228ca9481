import { mkdirSync } from 'node:fs'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type CuttingProxy, cuttingProxy } from '../support/cutting-proxy.ts'
import { type Demo, startDemo } from '../support/demo.ts'
import { lookForBarriers } from './barriers.ts'
import { launchChromium } from './browser.ts'

let browser: Browser
let folder: string
let demo: Demo
let proxy: CuttingProxy
let page: Page
/** What the browser complained of, but for connections that were broken on purpose. */
let said: string[]

beforeAll(async () => {
  browser = await launchChromium()
  folder = await mkdtemp(join(tmpdir(), 'demo-'))
  demo = await startDemo({ HUB_BROKER: `sqlite:${join(folder, 'hub.db')}` })
  proxy = await cuttingProxy(demo.port)
})
afterAll(async () => {
  await browser?.close()
  await proxy?.close()
  await demo?.stop()
  await rm(folder, { recursive: true })
})
afterEach(async () => {
  await page?.close()
})

async function open(url: string, options: BrowserContextOptions = {}): Promise<void> {
  page = await browser.newPage(options)
  said = []
  page.on('console', (message) => said.push(message.text()))
  page.on('pageerror', (error) => said.push(String(error)))
  await page.goto(url)
  await status('Live')
  await page.locator('#server').filter({ hasText: 'Process' }).waitFor()
}

const status = (text: string) => page.locator('#status').filter({ hasText: text }).waitFor({ timeout: 60_000 })
const post = (body: string) => fetch(`${demo.url}/channels/board`, { method: 'POST', body })
const complaints = () => said.filter((text) => !/net::ERR_(CONNECTION_|INCOMPLETE|EMPTY_RESPONSE)/.test(text))

async function count(name: 'received' | 'replayed' | 'duplicated' | 'lost' | 'gaps'): Promise<number> {
  return Number((await page.locator(`#count-${name}`).textContent())!.replaceAll(',', ''))
}

/** Presses a button of the panel, and waits until the page is live again. */
async function breakIt(name: 'cut' | 'stall' | 'restart' | 'kill'): Promise<void> {
  const before = await page.locator('#journal .live').count()
  await page.locator(`#break-buttons button[value=${name}]`).click()
  await page.locator('#journal .live').nth(before).waitFor({ timeout: 60_000 })
  expect(await page.locator('#break-refused').textContent()).toBe('')
}

async function nothingMissing(): Promise<void> {
  const received = await count('received')
  await expect.poll(() => count('received')).toBeGreaterThan(received)
  expect([await count('lost'), await count('duplicated'), await count('gaps')]).toEqual([0, 0, 0])
}

describe('the page', () => {
  it.each(['cut', 'stall', 'restart', 'kill'] as const)('loses nothing and repeats nothing: %s', async (name) => {
    await open(demo.url)
    for (let i = 0; i < 3; i++) await breakIt(name)
    if (name === 'cut' || name === 'stall') expect(await count('replayed')).toBeGreaterThan(0)
    await nothingMissing()
    await status('nothing is missing')
    expect(complaints()).toEqual([])
  })

  it('loses nothing and repeats nothing: slow', async () => {
    await open(demo.url)
    await page.getByRole('button', { name: 'Slow me down' }).click()
    await page.getByText('the hub serves you from its log').first().waitFor()
    await page.getByText('full speed again').waitFor({ timeout: 60_000 })
    expect(await count('replayed')).toBeGreaterThan(0)
    await nothingMissing()
    await status('Live')
    expect(await page.locator('#journal .lost').count()).toBe(0)
    expect(complaints()).toEqual([])
  })

  it('hears every message once and in order while its connection is cut again and again', async () => {
    await open(proxy.url)
    // The page keeps the last 200 only; every one that it was given is to be looked at.
    await page.evaluate(`
      heard = []
      new MutationObserver((records) => {
        for (const { addedNodes } of records) for (const item of addedNodes) heard.push(item.textContent)
      }).observe(document.getElementById('board'), { childList: true })
    `)
    const sent: string[] = []
    let publishing = true
    // One after the other: two at once have no order that could be kept.
    const published = (async () => {
      while (publishing) {
        const text = `message ${sent.length}`
        expect((await post(text)).status).toBe(201)
        sent.push(text)
        await setTimeout(20)
      }
    })()
    try {
      for (let i = 0; i < 10; i++) {
        // In the middle of anything, so not at the same place each time.
        await setTimeout(Math.random() * 1_000)
        const before = await page.locator('#journal .live').count()
        expect(proxy.cut()).toBeGreaterThan(0)
        await page.locator('#journal .live').nth(before).waitFor({ timeout: 60_000 })
      }
    } finally {
      publishing = false
      await published
    }
    await post('the end')
    sent.push('the end')
    await page.locator('#board li').first().filter({ hasText: 'the end' }).waitFor()
    expect(await page.evaluate<string[]>('heard')).toEqual(sent)
    await nothingMissing()
    expect(complaints()).toEqual([])
  })

  it('would count lost and repeated numbers', async () => {
    page = await browser.newPage()
    // A wire that swallows numbers that end with 7, and repeats those that end with 3.
    await page.addInitScript(`
      const real = fetch
      globalThis.fetch = async (url, init) => {
        const response = await real(url, init)
        if (!String(url).includes('/channels?')) return response
        let rest = ''
        const faulty = new TransformStream({
          transform(text, controller) {
            const blocks = (rest + text).split('\\n\\n')
            rest = blocks.pop()
            for (const block of blocks) {
              const last = /"beat","data":{"n":\\d*(\\d),/.exec(block)?.[1]
              for (let i = 0; i < (last === '7' ? 0 : last === '3' ? 2 : 1); i++) controller.enqueue(block + '\\n\\n')
            }
          },
        })
        const body = response.body
          .pipeThrough(new TextDecoderStream())
          .pipeThrough(faulty)
          .pipeThrough(new TextEncoderStream())
        return new Response(body, response)
      }
    `)
    await page.goto(demo.url)
    await expect.poll(() => count('lost'), { timeout: 10_000 }).toBeGreaterThan(1)
    await expect.poll(() => count('duplicated'), { timeout: 10_000 }).toBeGreaterThan(1)
    expect(await page.locator('#count-lost').getAttribute('data-state')).toBe('bad')
  })

  it('says that something is missing when a log in memory ends with its process', async () => {
    const own = await startDemo()
    try {
      await open(own.url)
      await breakIt('kill')
      await page.getByText('Missing events were reported: unknown-epoch').waitFor()
      expect([await count('gaps'), await count('lost'), await count('duplicated')]).toEqual([1, 0, 0])
      expect(complaints()).toEqual([])
    } finally {
      await own.stop()
    }
  })

  it('shows that the connection was closed permanently when the server refuses it', async () => {
    page = await browser.newPage()
    await page.route('**/channels?*', (route) => route.fulfill({ status: 403, body: '' }))
    await page.goto(demo.url)
    await status('Closed by the server')
  })

  it('does not offer a restart to visitors without the permission', async () => {
    page = await browser.newPage({ extraHTTPHeaders: { 'X-Forwarded-For': '203.0.113.7' } })
    await page.goto(demo.url)
    await page.getByText('Only a visitor on the machine').waitFor()
    for (const name of ['Restart server', 'Kill server']) {
      expect(await page.getByRole('button', { name }).isDisabled()).toBe(true)
    }
    expect(await page.getByRole('button', { name: 'Cut me off' }).isDisabled()).toBe(false)
  })
})

describe('the panels', () => {
  it('board: accepts a message from the keyboard, and counts the readers', async () => {
    await open(demo.url)
    await page.getByLabel('Say something to everybody').fill('typed <b>&amp;')
    await page.keyboard.press('Enter')
    await page.locator('#board li').filter({ hasText: 'typed <b>&amp;' }).waitFor()
    await page.getByText('1 reader', { exact: true }).waitFor()
    const other = await browser.newPage()
    await other.goto(demo.url)
    await page.getByText('2 readers', { exact: true }).waitFor()
    await other.close()
    await page.getByText('1 reader', { exact: true }).waitFor()
  })

  it('job: runs to its end, and is cancelled', async () => {
    await open(demo.url)
    const start = page.getByRole('button', { name: 'Start', exact: true })
    await page.getByLabel('every file of').selectOption('src')
    await start.click()
    await page.locator('#job-past li').filter({ hasText: 'Hashing src: done' }).waitFor()
    await page.getByLabel('Do', { exact: true }).selectOption('gzip')
    await page.getByLabel('every file of').selectOption('node_modules')
    await start.click()
    await page.locator('#job-says').filter({ hasText: 'MB/s' }).waitFor()
    // Its progress survives what happens to the connection.
    await breakIt('cut')
    await page.getByRole('button', { name: 'Cancel' }).click()
    await page.locator('#job-past li').filter({ hasText: 'Compressing node_modules: cancelled' }).waitFor()
    expect(await start.isEnabled()).toBe(true)
    expect(complaints()).toEqual([])
  })

  it('job: ends with the server that it ran in', async () => {
    await open(demo.url)
    await page.getByLabel('Do', { exact: true }).selectOption('gzip')
    await page.getByRole('button', { name: 'Start', exact: true }).click()
    await page.locator('#job-says').filter({ hasText: 'MB/s' }).waitFor()
    await breakIt('kill')
    await page.getByText('ended with the server that was killed').waitFor()
    expect(await page.getByRole('button', { name: 'Start', exact: true }).isEnabled()).toBe(true)
  })

  it('text: resumes where it was cut, and stops on the server when the reader leaves', async () => {
    await open(proxy.url)
    await page.getByRole('button', { name: 'Read to me' }).click()
    await page.locator('#text').filter({ hasText: 'Server-Sent Events for Express' }).waitFor()
    proxy.cut()
    await page.getByText('It will resume where it stopped').waitFor()
    await page
      .locator('#text')
      .filter({ hasText: /^# express-sse-hub\s+Server-Sent Events for Express.*import/s })
      .waitFor()
    await page.getByRole('button', { name: 'Stop' }).click()
    await page.locator('#text-says').filter({ hasText: 'the server stopped at word' }).waitFor()
    expect(complaints()).toEqual([])
  })

  it('machine: draws, and describes the drawing', async () => {
    await open(demo.url)
    for (const name of ['cpu', 'memory', 'load', 'delay']) {
      await page.locator(`#value-${name}`).filter({ hasText: /\d/ }).waitFor()
      expect(await page.locator(`#chart-${name}`).getAttribute('aria-label')).toContain('over the last minute')
    }
    await setTimeout(1_500)
    // Something is drawn in the colour of the style sheet.
    const painted = await page.evaluate<number>(`(() => {
      const canvas = document.querySelector('#chart-cpu canvas')
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)
      let count = 0
      for (let i = 0; i < data.length; i += 4) if (data[i + 2] > 180 && data[i] < 80 && data[i + 3] > 200) count++
      return count
    })()`)
    expect(painted).toBeGreaterThan(5)
  })

  it('wire: shows the bytes as they arrive, and pauses on request', async () => {
    await open(demo.url)
    const wire = page.locator('#wire')
    await wire
      .getByText(/"channel":"beat"/)
      .first()
      .waitFor()
    await page.getByRole('button', { name: 'Pause' }).click()
    const text = await wire.textContent()
    await setTimeout(500)
    expect(await wire.textContent()).toBe(text)
    await page.getByRole('button', { name: 'Go on' }).click()
    await expect.poll(() => wire.textContent()).not.toBe(text)
  })

  it('requests: shows those of others, without their queries', async () => {
    await open(demo.url)
    await fetch(`${demo.url}/nowhere?secret=1`)
    await page.locator('#requests tr').filter({ hasText: '/nowhere' }).first().waitFor()
    expect(await page.locator('#requests').textContent()).not.toContain('secret')
  })

  it('log: shows the lines of a file as they are appended, and only as text', async () => {
    const file = join(folder, 'app.log')
    await writeFile(file, '')
    const own = await startDemo({ LOG_FILE: file })
    try {
      await open(own.url)
      await appendFile(file, Array.from({ length: 300 }, (_, i) => `line ${i} <b>&amp;\n`).join(''))
      await page.locator('#log div').last().filter({ hasText: 'line 299 <b>&amp;' }).waitFor()
      expect(await page.locator('#log div').count()).toBe(200)
      await page.getByText('app.log', { exact: true }).waitFor()
    } finally {
      await own.stop()
    }
  })
})

describe.each([
  ['light', 390],
  ['dark', 390],
  ['light', 1440],
  ['dark', 1440],
] as const)('a %s page of %i pixels', (colorScheme, width) => {
  it('fits, has no barriers, and breaks no policy of the page', async () => {
    await open(demo.url, { colorScheme, viewport: { width, height: 900 }, reducedMotion: 'reduce' })
    for (let i = 0; i < 3; i++) await post(`a longer message that somebody said to everybody, number ${i}`)
    await page.getByLabel('every file of').selectOption('src')
    await page.getByRole('button', { name: 'Start', exact: true }).click()
    await page.getByRole('button', { name: 'Read to me' }).click()
    await breakIt('cut')
    await page.locator('#job-past li').first().waitFor()
    await page.waitForTimeout(3_000)
    expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
    expect(await lookForBarriers(page)).toEqual([])
    expect(complaints()).toEqual([])
    const shots = process.env['SCREENSHOTS']
    if (shots === undefined) return
    mkdirSync(shots, { recursive: true })
    await page.screenshot({ path: `${shots}/page-${colorScheme}-${width}.png`, fullPage: true })
    for (const name of ['break', 'wire', 'machine', 'board', 'job', 'text', 'requests', 'log']) {
      await page.locator(`section.${name}`).screenshot({ path: `${shots}/${name}-${colorScheme}-${width}.png` })
    }
  })
})
