// Runs the same cases against several clients and writes comparison.md: npx tsx test/client/compare/run.ts

import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { cases } from './cases.ts'
import { clients } from './clients.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))

/** Of a bundle of the whole entry, minified, with its dependencies. */
async function sizeOf(entry: string): Promise<string> {
  const { outputFiles } = await build({
    stdin: { contents: `export * from ${JSON.stringify(`./${entry}`)}`, resolveDir: ROOT },
    bundle: true,
    minify: true,
    format: 'esm',
    write: false,
  })
  return `${gzipSync(outputFiles[0]!.contents, { level: 9 }).length}`
}

process.on('uncaughtException', () => {})
process.on('unhandledRejection', () => {})

const shown = (result: boolean | string | undefined) =>
  result === undefined ? 'no such option' : result === true ? 'yes' : result === false ? 'no' : result
const table: string[][] = [['', ...clients.map(({ name, version }) => `${name} ${version}`)], clients.map(() => '---')]
table[1]!.push('---')
for (const { name, run } of cases) {
  const results = await Promise.all(clients.map((client) => run(client)))
  table.push([name, ...results.map(shown)])
  process.stdout.write(`${name}: ${results.map(shown).join(', ')}\n`)
}
table.push(['bytes, minified and gzipped', ...(await Promise.all(clients.map(({ entry }) => sizeOf(entry))))])
const text = `# Clients, side by side

The behaviour of each client with its defaults in the cases of \`cases.ts\`, over real connections on Node ${process.versions.node}. Those
written for browsers have what \`clients.ts\` gives them, and \`reconnecting-eventsource\` has \`eventsource\` beneath it.
Written by \`npx tsx test/client/compare/run.ts\`.

${table.map((row) => `| ${row.join(' | ')} |`).join('\n')}
`
writeFileSync(new URL('comparison.md', import.meta.url), text)
process.exit()
