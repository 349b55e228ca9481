import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { documents, ROOT } from './documents.ts'
import { COMMANDS, CONTRIBUTORS, INSTALL } from './snippets.ts'

const { scripts, version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))

it('the root README installs the version of the package and starts the demo', () => {
  expect(COMMANDS).toBe('npm ci && npm start\nnpm ci && npm test\n')
  expect(existsSync(join(ROOT, 'package-lock.json'))).toBe(true)
  expect(scripts.test).toMatch(/^vitest run/)
  expect(existsSync(join(ROOT, scripts.start.replace('node --import tsx ', '')))).toBe(true)
  expect(INSTALL).toContain(`express-sse-hub-${version}.tgz`)
})

it('every npm script that a document names exists', () => {
  let named = 0
  for (const { path, text } of documents) {
    for (const [, script] of text.matchAll(/npm run ([\w:-]+)/g)) {
      expect(Object.keys(scripts), path).toContain(script)
      named++
    }
  }
  expect(named).toBeGreaterThan(20)
})

it('the commands for contributors name files, projects and variables that exist', () => {
  const config = readFileSync(join(ROOT, 'vitest.config.ts'), 'utf8')
  const faults = readFileSync(join(ROOT, 'test/faults/sqlite.faults.ts'), 'utf8')
  const lines = CONTRIBUTORS.flatMap(({ code }) => code.trim().split('\n'))
  expect(lines.length).toBeGreaterThan(20)
  for (const line of lines) {
    const [command] = line.split(' #')
    for (const [path] of command!.matchAll(/\btest\/[\w./-]+/g)) expect(existsSync(join(ROOT, path)), path).toBe(true)
    for (const [, project] of command!.matchAll(/--project '?([a-z]+(?: [a-z]+)?)'?(?= |$)/g)) {
      expect(config).toContain(`name: '${project!.replace(/ test$/, '')}'`)
    }
    for (const [variable] of command!.matchAll(/\bFAULTS_\w+/g)) expect(faults).toContain(variable)
  }
})
