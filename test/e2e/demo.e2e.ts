import { mkdirSync } from 'node:fs'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CuttingProxy, cuttingProxy } from '../support/cutting-proxy.ts'
import { type Demo, startDemo } from '../support/demo.ts'
import { launchChromium } from './browser.ts'

let browser: Browser
let demo: Demo
let proxy: CuttingProxy

beforeAll(async () => {
  browser = await launchChromium()
  demo = await startDemo()
  proxy = await cuttingProxy(demo.port)
})
afterAll(async () => {
  await browser?.close()
  await proxy?.close()
  await demo?.stop()
})

const post = (body: string) => fetch(`${demo.url}/channels/board`, { method: 'POST', body })

it('a page with native EventSource survives cuts of its connection with nothing missing', async () => {
  const page = await browser.newPage()
  const said: string[] = []
  page.on('console', (message) => said.push(message.text()))
  page.on('pageerror', (error) => said.push(String(error)))
  await page.goto(proxy.url)
  const status = page.locator('#status')
  await status.filter({ hasText: 'Live' }).waitFor()
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
  const waits: number[] = []
  try {
    for (let i = 0; i < 10; i++) {
      // In the middle of anything, so not at the same place each time.
      await setTimeout(Math.random() * 1_000)
      expect(proxy.cut()).toBeGreaterThan(0)
      const cutAt = performance.now()
      await status.filter({ hasText: 'Reconnecting since' }).waitFor()
      await status.filter({ hasText: 'nothing is missing' }).waitFor()
      waits.push(performance.now() - cutAt)
    }
  } finally {
    publishing = false
    await published
  }
  await post('the end')
  sent.push('the end')
  await page.locator('#board li').first().filter({ hasText: 'the end' }).waitFor()
  expect(await page.evaluate<string[]>('heard')).toEqual(sent)
  expect(await page.locator('[data-count=board]').textContent()).toBe(`${sent.length} received`)
  // The hub asks for 2 to 4 s, drawn anew for each connection, so that not all come back at once.
  expect(Math.min(...waits)).toBeGreaterThan(1_900)
  expect(new Set(waits.map((ms) => Math.round(ms / 50))).size).toBeGreaterThan(1)
  expect(await page.locator('#missed li').count()).toBe(0)
  expect(said.filter((text) => !/ERR_(CONNECTION_RESET|INCOMPLETE|EMPTY_RESPONSE)/.test(text))).toEqual([])
  await page.close()
})

it('the board takes a message from the keyboard, and the page says what a restart loses', async () => {
  const page = await browser.newPage()
  await page.goto(demo.url)
  await page.getByLabel('Say something to everybody').fill('typed')
  await page.keyboard.press('Enter')
  await page.locator('#board li').filter({ hasText: 'typed' }).waitFor()
  const { port } = demo
  await demo.stop()
  await page.locator('#status').filter({ hasText: 'Reconnecting' }).waitFor()
  demo = await startDemo({ PORT: String(port) })
  // A log in memory ends with its process: nobody can know what was missed, so it is told.
  await page.locator('#missed li').filter({ hasText: 'unknown-epoch' }).waitFor({ timeout: 60_000 })
  await page.locator('#status').filter({ hasText: 'Live again' }).waitFor()
  await page.close()
})

it('says that the connection was closed for good when the server does not want it', async () => {
  const page = await browser.newPage()
  await page.route('**/channels?*', (route) => route.fulfill({ status: 403, body: '' }))
  await page.goto(demo.url)
  await page.locator('#status').filter({ hasText: 'Closed by the server' }).waitFor()
  await page.close()
})

it('shows the lines of a file as they are appended, and only as text', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'demo-'))
  const file = join(folder, 'app.log')
  await writeFile(file, '')
  const own = await startDemo({ LOG_FILE: file })
  const page = await browser.newPage()
  try {
    await page.goto(own.url)
    await page.locator('#status').filter({ hasText: 'Live' }).waitFor()
    await appendFile(file, Array.from({ length: 300 }, (_, i) => `line ${i} <b>&amp;\n`).join(''))
    await page.locator('#log div').last().filter({ hasText: 'line 299 <b>&amp;' }).waitFor()
    expect(await page.locator('#log div').count()).toBe(200)
    expect(await page.locator('[data-count=log]').textContent()).toBe('300 received')
    expect(await page.locator('#log-hint').isVisible()).toBe(false)
  } finally {
    await page.close()
    await own.stop()
    await rm(folder, { recursive: true })
  }
})

it.each([
  ['light', 390],
  ['dark', 390],
  ['light', 1440],
  ['dark', 1440],
] as const)('fits a %s page of %i pixels', async (colorScheme, width) => {
  const page = await browser.newPage({ colorScheme, viewport: { width, height: 900 } })
  await page.goto(demo.url)
  await page.locator('[data-value=cpu]').filter({ hasText: '%' }).waitFor()
  for (let i = 0; i < 3; i++) await post(`a longer message that somebody said to everybody, number ${i}`)
  await page.waitForTimeout(3_000)
  expect(await page.evaluate<number>('document.documentElement.scrollWidth')).toBeLessThanOrEqual(width)
  const folder = process.env['SCREENSHOTS']
  if (folder !== undefined) {
    mkdirSync(folder, { recursive: true })
    await page.screenshot({ path: `${folder}/demo-${colorScheme}-${width}.png`, fullPage: true })
  }
  await page.close()
})
