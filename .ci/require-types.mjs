// Part of `npm run build`. Writes `index.d.cts` beside each entry point's `index.d.ts`, for TypeScript's `node16` and
// `node18` in a project without "type": "module". There TypeScript refuses to `require` an ES module, though every
// supported Node does it. The declarations refer to those of the ES module, so both kinds of files share one set of types.

import { readFileSync, writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import ts from 'typescript'

const { exports } = JSON.parse(readFileSync('package.json', 'utf8'))
const entries = Object.values(exports)
  .map((entry) => entry.types?.default)
  .filter((path) => path !== undefined)
const program = ts.createProgram(entries, { module: ts.ModuleKind.NodeNext, types: ['node'], skipLibCheck: true })
const checker = program.getTypeChecker()

for (const entry of entries) {
  const from = `'./${basename(entry, '.d.ts')}.js' with { 'resolution-mode': 'import' }`
  const lines = [`import type * as esm from ${from}`, `export type * from ${from}`]
  for (const exported of checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(entry)))) {
    const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
    const { name } = exported
    if (!(symbol.flags & ts.SymbolFlags.Value)) continue
    lines.push(`export declare const ${name}: typeof esm.${name}`)
    if (symbol.flags & ts.SymbolFlags.Type) lines.push(typeAlias(name, symbol))
  }
  writeFileSync(entry.replace(/\.ts$/, '.cts'), `${lines.join('\n')}\n`)
}

/** The type of a class, or of a value that shares its name with a type. */
function typeAlias(name, symbol) {
  const parameters = symbol.declarations.find((declaration) => declaration.typeParameters)?.typeParameters ?? []
  if (parameters.length === 0) return `export type ${name} = esm.${name}`
  // A constraint may name a type that only its module knows. The alias takes any argument; `esm` checks a new instance.
  const names = parameters.map((parameter) => parameter.name.text)
  const declared = parameters.map(({ name, constraint, default: initial }) => {
    const bound =
      constraint === undefined ? '' : ` extends ${checker.typeToString(checker.getTypeFromTypeNode(constraint))}`
    return `${name.text}${bound}${initial === undefined ? '' : ` = ${initial.getText()}`}`
  })
  return `export type ${name}<${declared.join(', ')}> = esm.${name}<${names.join(', ')}>`
}
