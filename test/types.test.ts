import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../', import.meta.url))

/** Compiles the cases of test/types; resolves with what the compiler complains of. */
async function compile(project: string, ...more: string[]): Promise<string> {
  const args = [`${ROOT}node_modules/typescript/bin/tsc`, '--noEmit', '-p', `${ROOT}test/types/${project}`, ...more]
  const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: ROOT }).catch((error) => error)
  return stdout
}

describe.concurrent('the types, as test/types uses them', { timeout: 60_000 }, () => {
  it('hold with @types/express 5', async () => {
    expect(await compile('tsconfig.json')).toBe('')
  })

  it('hold with @types/express 4', async () => {
    const files = await compile('tsconfig.express-4.json', '--listFiles')
    expect(files).not.toContain('error TS')
    // It was that major, and not the one beside it.
    expect(files).toContain('types-express-4/index.d.ts')
    expect(files).not.toContain('node_modules/@types/express/')
  })

  it('have cases that are refused', () => {
    const cases = ['channel-map.ts', 'client.ts', 'express.ts'].map((file) =>
      readFileSync(`${ROOT}test/types/${file}`, 'utf8'),
    )
    expect(cases.join('').match(/@ts-expect-error \S/g)!.length).toBeGreaterThan(20)
  })
})
