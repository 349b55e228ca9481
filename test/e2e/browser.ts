import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'

const PATH = process.env['CHROMIUM'] ?? '/usr/bin/chromium'

/** Debian's Chromium, without its own network requests. */
export function launchChromium({ backForwardCache = false } = {}): Promise<Browser> {
  if (!existsSync(PATH)) {
    throw new Error(
      `There is no Chromium at ${PATH}. Install it (apt-get install chromium), or set CHROMIUM to its path.`,
    )
  }
  return chromium.launch({
    executablePath: PATH,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
    // Playwright turns it off, because it loses sight of pages that it keeps.
    ...(backForwardCache && { ignoreDefaultArgs: ['--disable-back-forward-cache'] }),
  })
}
