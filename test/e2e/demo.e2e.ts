import { mkdirSync } from 'node:fs'
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
  let n = 0
  const publishing = setInterval(() => post(`message ${++n}`), 50)
  const cuts = 8
  try {
    for (let i = 0; i < cuts; i++) {
      // Cut in the middle of anything, not at the same place each time.
      await page.waitForTimeout(200 + 150 * (i % 4))
      expect(proxy.cut()).toBeGreaterThan(0)
      await status.filter({ hasText: 'Reconnecting since' }).waitFor()
      await status.filter({ hasText: 'nothing is missing' }).waitFor()
    }
  } finally {
    clearInterval(publishing)
  }
  await post('the end')
  await page.locator('#board li').filter({ hasText: 'the end' }).waitFor()
  const board = (await page.locator('#board li').allTextContents()).reverse()
  const kept = board.slice(0, -1).map((text) => Number(text.replace('message ', '')))
  expect(board.at(-1)).toBe('the end')
  // The page shows the last 200: without a hole, a repetition, or a change of order.
  expect(kept).toEqual(Array.from({ length: kept.length }, (_, i) => n - kept.length + 1 + i))
  expect(await page.locator('[data-count=board]').textContent()).toBe(`${n + 1} received`)
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
