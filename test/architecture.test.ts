import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const SRC = fileURLToPath(new URL('../src/', import.meta.url))

/** The folders, or single files, that a folder may import besides itself and the leaves. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  protocol: [],
  stream: ['protocol'],
  broker: ['protocol'],
  hub: ['broker/broker.ts', 'broker/stored-event.ts', 'protocol'],
  state: ['hub', 'protocol', 'broker/broker.ts'],
  express: ['hub', 'state', 'stream', 'protocol', 'broker/broker.ts', 'broker/memory-broker.ts'],
  client: ['protocol'],
  testing: ['protocol', 'broker/broker.ts', 'broker/stored-event.ts'],
  'index.ts': ['express', 'hub', 'state', 'stream', 'broker', 'protocol'],
}
/** These import nothing but each other, in this order. */
const LEAVES = [
  'errors.ts',
  'clock.ts',
  'option.ts',
  'stall-watch.ts',
  'server-clock.ts',
  'channel-name.ts',
  'channel-types.ts',
]
/** Packages, and the only folders that may import them. */
const PACKAGES: Record<string, readonly string[]> = {
  express: ['express'],
  'better-sqlite3': ['broker/sqlite'],
  'eventsource-parser': ['testing'],
}
/** What browsers run must not import Node. */
const PORTABLE = [
  'protocol/fields.ts',
  'protocol/encode.ts',
  'protocol/cursor.ts',
  'client',
  ...LEAVES.filter((leaf) => leaf !== 'server-clock.ts'),
]

interface Import {
  readonly from: string
  readonly to: string
}

function sources(folder = SRC): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return sources(path)
    // A starter for unbuilt sources does not belong to the package.
    return path.endsWith('.ts') ? [relative(SRC, path)] : []
  })
}

/** Every import and re-export, those of types included. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(SRC, file), 'utf8')
  const specifiers = [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1]!)
  return specifiers.map((to) => ({
    from: file,
    to: to.startsWith('.') ? relative(SRC, join(SRC, dirname(file), to)) : to,
  }))
}

/** What the package is built from: nothing else is in it. */
const files = sources().filter((file) => file.endsWith('.ts'))
const imports = files.flatMap(importsOf)
const roomOf = (file: string) => file.split('/')[0]!
const within = (file: string, place: string) => file === place || file.startsWith(`${place}/`)

describe('the house', () => {
  it('has its sources where this test looks', () => {
    expect(files.length).toBeGreaterThan(30)
    expect(imports.length).toBeGreaterThan(100)
    for (const { to } of imports.filter(({ to }) => to.endsWith('.ts'))) expect(files).toContain(to)
  })

  it('has only edges that the design allows', () => {
    const forbidden = imports.filter(({ from, to }) => {
      if (!to.endsWith('.ts')) return false
      if (LEAVES.includes(from)) return LEAVES.indexOf(to) === -1 || LEAVES.indexOf(to) > LEAVES.indexOf(from)
      if (LEAVES.includes(to) || roomOf(from) === roomOf(to)) return false
      return !(MAY_IMPORT[roomOf(from)] ?? []).some((place) => within(to, place))
    })
    expect(forbidden).toEqual([])
  })

  it('imports packages only where they belong', () => {
    const strangers = imports.filter(({ from, to }) => {
      if (to.endsWith('.ts') || to.startsWith('node:')) return false
      return !(PACKAGES[to.split('/')[0]!] ?? []).some((place) => within(from, place))
    })
    expect(strangers).toEqual([])
  })

  it('keeps Node out of what browsers run', () => {
    const bound = imports.filter(
      ({ from, to }) => to.startsWith('node:') && PORTABLE.some((place) => within(from, place)),
    )
    expect(bound).toEqual([])
    const frame = imports.filter(
      ({ from, to }) => to === 'protocol/frame.ts' && PORTABLE.some((place) => within(from, place)),
    )
    expect(frame).toEqual([])
  })

  it('has no cycle, of types neither', () => {
    const edges = new Map(files.map((file) => [file, importsOf(file).map(({ to }) => to)]))
    const done = new Set<string>()
    const cycles: string[] = []
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
      if (done.has(file) || path.includes(file)) return
      for (const to of edges.get(file) ?? []) visit(to, [...path, file])
      done.add(file)
    }
    for (const file of files) visit(file, [])
    expect(cycles).toEqual([])
  })

  it('prints nothing', () => {
    const loud = files.filter((file) => /\bconsole\./.test(readFileSync(join(SRC, file), 'utf8')))
    expect(loud).toEqual([])
  })
})
