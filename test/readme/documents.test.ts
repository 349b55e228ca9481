import { execFile } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { documentAt, documents, hasOwnTest, ROOT } from './documents.ts'
import { modulesOf } from './serve.ts'
import * as snippets from './snippets.ts'

const folder = modulesOf('documents')
const chapters = readdirSync(import.meta.dirname)
  .filter((name) => name.endsWith('.test.ts') || name === 'modules.ts')
  .map((name) => readFileSync(join(import.meta.dirname, name), 'utf8'))

describe('the snippets of the documents', () => {
  it.each(documents.map((document) => [document.path, document] as const))('%s has none without a test', (_, one) => {
    if (!hasOwnTest(one)) expect(one.untaken).toEqual([])
  })

  it('are each run by a chapter', () => {
    const { PIECES, ...named } = snippets
    const isUsed = (pattern: RegExp) => chapters.some((text) => pattern.test(text))
    expect(Object.keys(named).filter((name) => !isUsed(new RegExp(`(?<!^import.*)\\b${name}\\b`, 'm')))).toEqual([])
    const isServed = (piece: string) =>
      isUsed(new RegExp(`serve\\(folder, '${piece}'`)) || isUsed(new RegExp(`folder\\.import\\('${piece}\\.ts'`))
    expect(Object.keys(PIECES).filter((piece) => !isServed(piece))).toEqual([])
    expect(Object.keys(named).length + Object.keys(PIECES).length).toBeGreaterThan(25)
  })

  it('compile', { timeout: 300_000 }, async () => {
    const compilerOptions = {
      noUnusedLocals: false,
      noUnusedParameters: false,
      noPropertyAccessFromIndexSignature: false,
      noImplicitAny: false,
    }
    const config = { extends: '../../../tsconfig.json', compilerOptions, include: ['*.ts'] }
    writeFileSync(join(folder.path, 'tsconfig.json'), JSON.stringify(config))
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const compiling = promisify(execFile)(process.execPath, [tsc, '-p', folder.path])
    const { stdout } = await compiling.catch((error) => error)
    expect(stdout).toBe('')
  })
})

describe('the links of the documents', () => {
  const relative = documents.flatMap((document) =>
    document.links.filter((target) => !/^https?:/.test(target)).map((target) => [document.path, target] as const),
  )

  it.each(relative)('%s: %s leads to a file and to an anchor in it', (from, target) => {
    const [path, anchor] = target.split('#')
    const file = path === '' ? from : join(dirname(from), path!)
    expect(existsSync(join(ROOT, file)), `${file} exists`).toBe(true)
    if (anchor !== undefined) expect(documentAt(file).anchors).toContain(anchor)
  })

  it.each(documents.map((document) => [document.path, document] as const))('%s has no anchor twice', (_, one) => {
    expect(one.anchors).toHaveLength(new Set(one.anchors).size)
  })

  it('lead from the root README to every other README of the sources', () => {
    const linked = documentAt('README.md').links.map((target) => join(target.split('#')[0]!))
    const others = documents.map(({ path }) => path).filter((path) => path.endsWith('/README.md'))
    expect(others.length).toBeGreaterThan(10)
    expect(others.filter((path) => !linked.includes(path) && !linked.includes(join(dirname(path), '/')))).toEqual([])
  })
})

describe('the root README', () => {
  const { text } = documentAt('README.md')

  it('has at most 380 lines', () => {
    expect(text.split('\n').length - 1).toBeLessThanOrEqual(380)
  })
})

describe('the tables that the benchmark writes', () => {
  const blocks = documents.flatMap(({ path, text }) =>
    [...text.matchAll(/<!-- (bench.*?): written by npm run bench -->\n([\s\S]*?)<!-- \/\1 -->/g)].map(
      ([, name, table]) => [path, name!, table!] as const,
    ),
  )

  it('are in two documents', () => {
    expect(blocks.map(([path]) => path)).toEqual(['README.md', 'src/broker/sqlite/README.md'])
  })

  it.each(blocks)('%s: the table %s has figures', (_path, _name, table) => {
    expect(table.match(/^\| .*\d.* \|$/gm)?.length).toBeGreaterThan(3)
  })
})
