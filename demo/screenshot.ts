import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { launchChromium } from '../test/e2e/browser.ts'
import { startDemo } from '../test/support/demo.ts'

// npm run screenshot: the picture of the README, of a page on which everything has been broken and nothing is missing.

const FILE = fileURLToPath(new URL('./screenshot.png', import.meta.url))
const WIDTH = 1280
const MESSAGES = ['Hello, world!', 'Somebody has killed the server.', 'I saw nothing of it.']

const folder = await mkdtemp(join(tmpdir(), 'demo-'))
const env = { HUB_BROKER: `sqlite:${join(folder, 'hub.db')}`, DEMO_LOG: join(folder, 'demo.log') }
const demo = await startDemo(env)
const browser = await launchChromium()
try {
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 900 }, colorScheme: 'light' })
  await page.goto(demo.url)
  const breakIt = async (name: string) => {
    await setTimeout(4_000)
    const before = await page.locator('#journal .live').count()
    await page.locator(`#break-buttons button[value=${name}]`).click()
    await page.locator('#journal .live').nth(before).waitFor({ timeout: 60_000 })
  }
  await page.getByRole('button', { name: 'Slow me down' }).click()
  await page.getByText('full speed again').waitFor({ timeout: 60_000 })
  await breakIt('stall')
  await breakIt('restart')
  await breakIt('kill')
  for (const body of MESSAGES) await fetch(`${demo.url}/channels/board`, { method: 'POST', body })
  await page.getByLabel('every file of').selectOption('src')
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await page.locator('#job-past li').first().waitFor()
  await page.getByLabel('every file of').selectOption('node_modules')
  await page.getByRole('button', { name: 'Start', exact: true }).click()
  await breakIt('cut')
  await setTimeout(2_000)
  await page.mouse.move(0, 0)
  await page.evaluate('scrollTo(0, 0)')
  // The first two rows: the whole page is longer than a picture in a README should be.
  const { y, height } = (await page.locator('.machine').boundingBox())!
  await page.screenshot({ path: FILE, fullPage: true, clip: { x: 0, y: 0, width: WIDTH, height: y + height + 8 } })
} finally {
  await browser.close()
  await demo.stop()
  await rm(folder, { recursive: true })
}
