import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest'
import { type CuttingProxy, cuttingProxy } from '../support/cutting-proxy.ts'
import { type Running, runScript } from '../support/script.ts'
import { launchChromium } from './browser.ts'

// The pages of demo/examples. The other examples are run in test/demo.

let server: Running
let browser: Browser
let url: string
let proxy: CuttingProxy
let page: Page
let errors: string[]

beforeAll(async () => {
  server = runScript('demo/examples/server.ts', [], { PORT: '0' })
  url = await server.line()
  proxy = await cuttingProxy(Number(new URL(url).port))
  browser = await launchChromium()
})
afterAll(async () => {
  await browser?.close()
  await proxy?.close()
  await server?.stop()
})
beforeEach(async () => {
  page = await browser.newPage()
  errors = []
  page.on('pageerror', (error) => errors.push(String(error)))
})
afterEach(async () => {
  await page.close()
  expect(errors).toEqual([])
})

async function post(text: string): Promise<void> {
  const headers = { 'Content-Type': 'application/json' }
  const answer = await fetch(`${url}/channels/board`, { method: 'POST', headers, body: JSON.stringify({ text }) })
  expect(answer.status).toBe(201)
}
const item = (text: string) => page.locator('li').filter({ hasText: text })
const status = (text: string) => page.getByRole('status').filter({ hasText: text }).waitFor()

it.each([
  ['/', 'Connected'],
  ['/react', 'open'],
])('%s shows earlier messages, new messages, and those it missed', async (path, connected) => {
  const name = path === '/' ? 'page' : 'react'
  await post(`${name} before`)
  await page.goto(proxy.url + path)
  await status(connected)
  await item(`${name} before`).waitFor()
  await post(`${name} now`)
  await item(`${name} now`).waitFor()
  proxy.cut()
  await post(`${name} away`)
  await item(`${name} away`).waitFor()
  await status(connected)
  const texts = await page.locator('li').allTextContents()
  expect(texts.filter((text) => text.startsWith(name))).toEqual([`${name} before`, `${name} now`, `${name} away`])
  expect(await page.getByText('Something is missing').count()).toBe(0)
})

it('the plain page publishes', async () => {
  await page.goto(url)
  await page.getByLabel('Say something').fill('typed')
  await page.keyboard.press('Enter')
  await item('typed').waitFor()
})
