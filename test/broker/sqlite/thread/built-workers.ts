import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll } from 'vitest'

// Threads load JavaScript several times as fast as TypeScript, and a test starts many of them: their module is built
// once for each test file.

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const TEMP = join(ROOT, 'test/.tmp')
mkdirSync(TEMP, { recursive: true })
const OUT = mkdtempSync(join(TEMP, 'workers-'))
afterAll(() => rmSync(OUT, { recursive: true, force: true }))

const ENTRY = 'src/broker/sqlite/index.ts'
const WORKER = 'src/broker/sqlite/thread/worker.ts'
const FAULTY_WORKER = 'test/broker/sqlite/thread/faulty-worker.ts'
writeFileSync(
  join(OUT, 'tsconfig.json'),
  JSON.stringify({
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: { noEmit: false, noCheck: true, rootDir: ROOT, outDir: OUT, types: [] },
    include: [],
    files: [join(ROOT, ENTRY), join(ROOT, WORKER), join(ROOT, FAULTY_WORKER)],
  }),
)
execFileSync(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-p', OUT])

const built = (file: string) => pathToFileURL(join(OUT, file.replace(/\.ts$/, '.js')))

/** `express-sse-hub/sqlite`, for other processes. */
export const ENTRY_BUILT = built(ENTRY)
/** What the threads of a broker run. */
export const WORKER_BUILT = built(WORKER)
/** The same with a driver that fails on request: see `Faults`. */
export const FAULTY_WORKER_BUILT = built(FAULTY_WORKER)
