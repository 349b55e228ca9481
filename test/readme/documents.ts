import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** A fenced block, with the heading above it. */
export interface Snippet {
  readonly heading: string
  readonly language: string
  readonly code: string
}

/** A Markdown document of the repository. */
export class Document {
  /** Relative to the root of the repository. */
  readonly path: string
  readonly text: string
  readonly headings: readonly string[]
  readonly snippets: readonly Snippet[]
  readonly #taken = new Set<Snippet>()

  constructor(path: string) {
    this.path = path
    this.text = readFileSync(join(ROOT, path), 'utf8')
    const headings: string[] = []
    const snippets: Snippet[] = []
    for (const [, heading, language, code] of this.text.matchAll(/^#{1,6} (.+)$|^```(\w*)\n([\s\S]*?)^```$/gm)) {
      if (heading !== undefined) headings.push(heading)
      else snippets.push({ heading: headings.at(-1)!, language: language!, code: code! })
    }
    this.headings = headings
    this.snippets = snippets
  }

  /** The only snippet of a language under a heading that contains `text`. */
  take(heading: string, language: string, text = ''): string {
    const found = this.snippets.filter(
      (one) => one.heading === heading && one.language === language && one.code.includes(text),
    )
    if (found.length !== 1) {
      throw new Error(`${this.path}: ${found.length} ${language} snippets under ${heading} contain "${text}".`)
    }
    this.#taken.add(found[0]!)
    return found[0]!.code
  }

  /** All snippets under the headings, in order. */
  takeAll(...headings: string[]): readonly Snippet[] {
    const found = this.snippets.filter(({ heading }) => headings.includes(heading))
    for (const one of found) this.#taken.add(one)
    return found
  }

  get untaken(): readonly Snippet[] {
    return this.snippets.filter((one) => !this.#taken.has(one))
  }

  /** The targets that a link into this document may have after `#`, by the rules of GitHub. */
  get anchors(): readonly string[] {
    const ofHeadings = this.headings.map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    )
    return [...ofHeadings, ...[...this.text.matchAll(/<a id="([^"]+)">/g)].map(([, id]) => id!)]
  }

  /** The targets of its links and pictures. */
  get links(): readonly string[] {
    const prose = this.text.replaceAll(/^```[\s\S]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '')
    return [...prose.matchAll(/\]\(([^)]+)\)/g)].map(([, target]) => target!)
  }

  /** The text under a heading, up to the next one. */
  section(heading: string): string {
    const found = this.text.split(/^#{1,6} /m).find((part) => part.startsWith(`${heading}\n`))
    if (found === undefined) throw new Error(`${this.path} has no heading ${heading}.`)
    return found
  }

  /** The rows of the tables under a heading, as cells. */
  rows(heading: string): string[][] {
    return [...this.section(heading).matchAll(/^\| (.+) \|$/gm)].map(([, row]) =>
      row!.split(/(?<!\\)\| ?/).map((cell) => cell.trim()),
    )
  }
}

function markdownIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return ['node_modules', '.tmp'].includes(entry.name) ? [] : markdownIn(path)
    return entry.name === 'README.md' ? [path] : []
  })
}

const TOP = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md']

/** Every README, and the other documents of the root folder. */
export const documents = [...TOP, ...['src', 'test', 'demo'].flatMap(markdownIn)].map((path) => new Document(path))

export function documentAt(path: string): Document {
  const found = documents.find((one) => one.path === join(path))
  if (found === undefined) throw new Error(`There is no document ${path}.`)
  return found
}

/** Whether the folder of tests for this document has its own test for its snippets. */
export function hasOwnTest({ path }: Document): boolean {
  return path.startsWith('src/') && existsSync(join(ROOT, 'test', dirname(path).slice(4), 'readme.test.ts'))
}

/** A number as the documents write it: `1,048,576`. */
export function numberIn(text: string): number {
  return Number(text.replaceAll(',', ''))
}

/** A source file, with its numbers without group separators. */
export function sourceOf(file: string): string {
  return readFileSync(join(ROOT, 'src', file), 'utf8').replaceAll(/(?<=\d)_(?=\d)/g, '')
}
