import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('../', import.meta.url))

/** Compiles the cases of test/types; resolves with the errors of the compiler. */
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

  it('name the channels of the map when a channel name has a typing error', async () => {
    mkdirSync(`${ROOT}test/.tmp`, { recursive: true })
    const folder = mkdtempSync(`${ROOT}test/.tmp/typo-`)
    try {
      const calls = [`publish('nesw', {})`, `publishAll([{ channel: 'nesw', data: {} }])`, `channel('nesw')`]
      const lines = calls.map((call) => `hub.${call}`)
      const hub = `const hub = new ChannelHub<{ news: object; 'price.*': object }>()`
      const source = [`import { ChannelHub } from '../../../src/index.ts'`, hub, ...lines].join('\n')
      writeFileSync(`${folder}/typo.ts`, source)
      writeFileSync(
        `${folder}/tsconfig.json`,
        JSON.stringify({ extends: '../../../tsconfig.json', include: [], files: ['typo.ts'] }),
      )
      const output = await compile(`../.tmp/${basename(folder)}/tsconfig.json`)
      expect(output.match(/Type '"nesw"' is not|type '"nesw"' is not/g), output).toHaveLength(calls.length)
      expect(output.match(/type '"news" \| `price\.\$\{string\}`'/g), output).toHaveLength(calls.length)
      expect(output).not.toContain('never')
    } finally {
      rmSync(folder, { recursive: true })
    }
  })

  it('have cases that are refused', () => {
    const cases = ['channel-map.ts', 'client.ts', 'express.ts'].map((file) =>
      readFileSync(`${ROOT}test/types/${file}`, 'utf8'),
    )
    expect(cases.join('').match(/@ts-expect-error \S/g)!.length).toBeGreaterThan(20)
  })
})
