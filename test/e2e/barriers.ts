import type { Page } from 'playwright-core'

/**
 * Barriers that keep people from using a page: controls without a name, headings that skip a level, text with too
 * little contrast, scrolling areas that the keyboard cannot reach, an invisible focus. Empty if nothing was found.
 */
export async function lookForBarriers(page: Page): Promise<string[]> {
  return [...(await page.evaluate<string[]>(`(${look})()`)), ...(await walkByKeyboard(page))]
}

/** Runs in the page. Text, because the page has types that the tests do not. */
const look = `function () {
  const found = []
  const shown = (element) => element.checkVisibility({ visibilityProperty: true })
  const name = (element) => element.outerHTML.slice(0, 80)

  if (document.documentElement.lang === '') found.push('no language')
  if (document.querySelectorAll('main').length !== 1) found.push('not one main')
  if (document.querySelectorAll('h1').length !== 1) found.push('not one h1')
  let level = 0
  for (const heading of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
    const own = Number(heading.tagName[1])
    if (own > level + 1) found.push('skips a level: ' + name(heading))
    level = own
  }
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id)
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) found.push('twice: #' + id)
  for (const element of document.querySelectorAll('[aria-labelledby], [aria-describedby]')) {
    for (const attribute of ['aria-labelledby', 'aria-describedby']) {
      const id = element.getAttribute(attribute)
      if (id !== null && !ids.includes(id)) found.push('refers to nothing: ' + name(element))
    }
  }
  for (const control of document.querySelectorAll('button, input, select, textarea, progress')) {
    const label = control.ariaLabel || (control.labels?.[0] ?? control).textContent.trim()
    if (!label) found.push('no name: ' + name(control))
  }
  for (const image of document.querySelectorAll('img:not([alt]), canvas')) {
    if (image.tagName === 'IMG' || !image.closest('[role=img][aria-label]')) found.push('no text for ' + name(image))
  }
  for (const box of document.querySelectorAll('section, div, ol, pre')) {
    const scrolls = ['auto', 'scroll'].includes(getComputedStyle(box).overflowY) && box.scrollHeight > box.clientHeight
    if (scrolls && box.tabIndex < 0) found.push('cannot be scrolled by keyboard: ' + name(box))
  }
  for (const element of document.querySelectorAll('[tabindex]')) if (element.tabIndex > 0) found.push('own order: ' + name(element))
  for (const element of document.getAnimations()) found.push('moves although less motion was asked for')

  const parse = (color) => {
    const [r, g, b, a = 1] = color.match(/[\\d.]+/g).map(Number)
    return { r, g, b, a }
  }
  const over = (top, below) => ({
    r: top.r * top.a + below.r * (1 - top.a),
    g: top.g * top.a + below.g * (1 - top.a),
    b: top.b * top.a + below.b * (1 - top.a),
    a: 1,
  })
  const background = (element) => {
    const color = parse(getComputedStyle(element).backgroundColor)
    if (color.a === 1) return color
    return element.parentElement ? over(color, background(element.parentElement)) : { r: 255, g: 255, b: 255, a: 1 }
  }
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * x + 0.7152 * y + 0.0722 * z
  }
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement
    if (!texts.currentNode.data.trim() || !shown(element) || element.closest(':disabled')) continue
    const back = background(element)
    const [light, dark] = [luminance(over(parse(getComputedStyle(element).color), back)), luminance(back)].sort((a, b) => b - a)
    const contrast = (light + 0.05) / (dark + 0.05)
    if (contrast < 4.5) found.push('contrast ' + contrast.toFixed(2) + ': ' + name(element))
  }
  return [...new Set(found)]
}`

/** Everything that can be used is reached with the Tab key, and is seen to have the focus. */
async function walkByKeyboard(page: Page): Promise<string[]> {
  const found: string[] = []
  const wanted = await page.evaluate<number>(`document.querySelectorAll(
    'button:enabled, input:enabled, select:enabled, [tabindex="0"]').length`)
  await page.evaluate('document.activeElement.blur()')
  const reached = new Set<string>()
  for (let i = 0; i < wanted + 5; i++) {
    await page.keyboard.press('Tab')
    const [name, outline] = await page.evaluate<[string, string]>(`[
      document.activeElement.outerHTML.slice(0, 80),
      getComputedStyle(document.activeElement).outlineStyle,
    ]`)
    if (name.startsWith('<body')) continue
    reached.add(name)
    if (outline === 'none') found.push(`focus not seen: ${name}`)
  }
  if (reached.size < wanted) found.push(`only ${reached.size} of ${wanted} controls are reached by keyboard`)
  return found
}
