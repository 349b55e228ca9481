import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from './documents.ts'
import { CLIENT, DURABLE, ITERATOR, PAGE, PIECES, POLLING, SERVER, SHARED, SQLITE, TESTING } from './snippets.ts'

// The snippets as modules in a folder, so that they can be compiled and imported.

const ENVIRONMENT = `
import type { Express, Request, RequestHandler } from 'express'
import type { ChannelHub } from 'express-sse-hub'
import type { SqliteBroker } from 'express-sse-hub/sqlite'

declare global {
  namespace Express {
    interface Request {
      user: { id: string; editor: boolean; sessionEnds: Date }
      session: { seen: number; save(done: (error?: unknown) => void): void }
    }
  }
}
export interface Environment {
  app: Express
  hub: ChannelHub
  broker: SqliteBroker
  model: { generate(prompt: string, options: { signal: AbortSignal }): AsyncIterable<string> }
  progressOf(id: string): AsyncIterable<{ percent: number }>
  orders: { find(id: string): Promise<{ id: string; quantity: number }> }
  carts: {
    find(id: string): Promise<Record<string, number> | undefined>
    ids(): Promise<string[]>
    write(id: string, sku: string, quantity: number): Promise<void>
    inTurn(id: string, change: () => Promise<void>): Promise<void>
  }
  render(order: { id: string; quantity: number }, url: string): string
  isEditor(req: Request): boolean
  requireUser: RequestHandler
  requireEditor: RequestHandler
  signal: AbortSignal
  console: Pick<Console, 'log' | 'warn'>
  cors(options: object): RequestHandler
}
`

/** Takes the place of the test runner: the tests of a snippet are collected and run one by one. */
const COLLECT = `
export const tests: [name: string, run: () => unknown][] = []
export const it = (name: string, run: () => unknown) => void tests.push([name, run])
`

/** The first screen without its port. */
export const APP = SERVER.replace(/^app\.listen.*$/m, 'export { app }')

function testingModule(): string {
  return TESTING.replace(
    "import { expect, it } from 'vitest'",
    "import { expect } from 'vitest'\nimport { it } from './collect.ts'",
  ).replace('./app.js', './app.ts')
}

/** The snippets of the client as one page: each relies on the one before it. */
function clientModule(): string {
  const client = [CLIENT, SHARED, POLLING, ITERATOR].join('\n')
  const imports = client.match(/^import .*$/gm)!.join('\n')
  return `${imports}
interface Page {
  url: string
  user: { id: string }
  console: Pick<Console, 'log' | 'warn'>
  refetch(): void
  show(channel: string, data: unknown): void
  say(text: string): void
  given(connections: { close(): void }[]): void
}
export default async function ({ url, user, console, refetch, show, say, given }: Page) {
${client
  .replace(/^import .*$/gm, '')
  .replaceAll("'/channels'", 'url')
  .replace('for await', 'given([connection, shared, patient])\nfor await')}
}
`
}

function pieceModule({ code, needs, gives }: (typeof PIECES)[keyof typeof PIECES]): string {
  return `import { ChannelHub, channelToken, memoryBroker, pattern, sse } from 'express-sse-hub'
import type { Environment } from './environment.ts'
export default async function ({ ${needs} }: Environment) {
${code}
return { ${gives} }
}
`
}

export const MODULES: Readonly<Record<string, string>> = {
  'environment.ts': ENVIRONMENT,
  'app.ts': APP,
  'collect.ts': COLLECT,
  'testing.ts': testingModule(),
  'client.ts': clientModule(),
  'sqlite.ts': `import { ChannelHub } from 'express-sse-hub'\n${SQLITE}\nexport { broker, hub }`,
  'durable.ts': `import { ChannelHub } from 'express-sse-hub'\n${DURABLE}\nexport { hub }`,
  ...Object.fromEntries(Object.entries(PIECES).map(([name, piece]) => [`${name}.ts`, pieceModule(piece)])),
}

/** A folder of modules inside the repository, so that they find its packages. */
export class ModuleFolder {
  readonly path: string

  constructor(chapter: string) {
    this.path = join(ROOT, 'test/.tmp', `readme-${chapter}-${process.pid}`)
    this.remove()
    for (const folder of ['public', 'data', 'backup']) mkdirSync(join(this.path, folder), { recursive: true })
    writeFileSync(join(this.path, 'public/index.html'), PAGE)
    for (const [file, code] of Object.entries(MODULES)) this.write(file, code)
  }

  /** Writes a module that imports the package by the path of its sources. */
  write(file: string, code: string): void {
    const sources = code
      .replaceAll("'express-sse-hub/testing'", "'../../../src/testing/index.ts'")
      .replaceAll("'express-sse-hub/client/polling'", "'../../../src/client/polling.ts'")
      .replaceAll("'express-sse-hub/client/shared'", "'../../../src/client/shared.ts'")
      .replaceAll("'express-sse-hub/client'", "'../../../src/client/index.ts'")
      .replaceAll("'express-sse-hub/sqlite'", "'../../../src/broker/sqlite/index.ts'")
      .replaceAll("'express-sse-hub'", "'../../../src/index.ts'")
      // Relative to the process, which does not run in this folder.
      .replaceAll(/'((?:data|backup)\/hub\.db)'/g, (_, path) => JSON.stringify(join(this.path, path)))
    writeFileSync(join(this.path, file), sources)
  }

  import(file: string) {
    return import(join(this.path, file))
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}
