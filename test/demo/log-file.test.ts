import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { LogFile } from '../../demo/log-file.ts'

let folder: string
let file: string
let lines: string[]
let log: LogFile

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'log-'))
  file = join(folder, 'app.log')
  lines = []
  log = new LogFile(file, (line) => lines.push(line))
})
afterEach(async () => {
  await log.stop()
  await rm(folder, { recursive: true })
})

it('begins at the present end of the file', async () => {
  await writeFile(file, 'old\n')
  await log.start()
  await appendFile(file, 'new\n')
  await log.poll()
  expect(lines).toEqual(['new'])
})

it('waits for the end of a line, and of a character', async () => {
  await writeFile(file, '')
  await log.start()
  const bytes = Buffer.from('grüße 😀\r\n')
  for (const byte of bytes) {
    await appendFile(file, Buffer.from([byte]))
    await log.poll()
  }
  expect(lines).toEqual(['grüße 😀'])
})

it('follows a file that does not exist yet, from its beginning', async () => {
  await log.start()
  await log.poll()
  await writeFile(file, 'first\n')
  await log.poll()
  expect(lines).toEqual(['first'])
})

it('reads the renamed file to its end before the new one', async () => {
  await writeFile(file, '')
  await log.start()
  await appendFile(file, 'last of the old\n')
  await rename(file, `${file}.1`)
  await log.poll()
  // A writer continues with its open file until it is asked to open the new one.
  await appendFile(`${file}.1`, 'later in the old\n')
  await writeFile(file, 'first of the new\n')
  await log.poll()
  await appendFile(`${file}.1`, 'very last of the old\n')
  await log.poll()
  expect(lines).toEqual(['last of the old', 'later in the old', 'very last of the old', 'first of the new'])
})

it('begins again in a file that was truncated', async () => {
  await writeFile(file, 'something long\n')
  await log.start()
  await truncate(file)
  await appendFile(file, 'a\n')
  await log.poll()
  expect(lines).toEqual(['a'])
})

it('cuts an endless line, and continues with the next', async () => {
  await writeFile(file, '')
  await log.start()
  await appendFile(file, `${'x'.repeat(300_000)}\nnext\n`)
  await log.poll()
  expect(lines.map((line) => line.slice(-12))).toEqual(['xxxxxx … (cut)'.slice(-12), 'next'])
  expect(lines[0]!.length).toBeLessThan(66_000)
})

it('gives each line once while the file grows under its eyes', async () => {
  await writeFile(file, '')
  await log.start()
  let written = 0
  while (written < 2_000) {
    const looked = log.poll()
    for (let i = 0; i < 10; i++) await appendFile(file, `${written++}\n`)
    await looked
  }
  await log.poll()
  expect(lines).toEqual(Array.from({ length: written }, (_, i) => String(i)))
})

it('looks once at a time', async () => {
  await writeFile(file, '')
  await log.start()
  await appendFile(file, 'a\nb\n')
  await Promise.all([log.poll(), log.poll(), log.poll()])
  expect(lines).toEqual(['a', 'b'])
})

it('waits until a line is published before it reads on', async () => {
  await log.stop()
  let publish = () => {}
  log = new LogFile(file, (line) => {
    lines.push(line)
    return new Promise<void>((resolve) => (publish = resolve))
  })
  await writeFile(file, '')
  await log.start()
  await appendFile(file, 'a\nb\n')
  const looked = log.poll()
  await expect.poll(() => lines).toEqual(['a'])
  publish()
  await expect.poll(() => lines).toEqual(['a', 'b'])
  publish()
  await looked
})

it('keeps half a line to itself when it is stopped', async () => {
  await writeFile(file, '')
  await log.start()
  await appendFile(file, 'whole\nhalf')
  await log.poll()
  await log.stop()
  expect(lines).toEqual(['whole'])
})

it('does not cut a character in two', async () => {
  await writeFile(file, '')
  await log.start()
  await appendFile(file, `${'x'.repeat(65_535)}😀\n`)
  await log.poll()
  expect(lines[0]!.isWellFormed()).toBe(true)
})

it('refuses a folder', async () => {
  const follower = new LogFile(folder, () => {})
  await expect(follower.start()).rejects.toThrow('not a file')
  await follower.stop()
})

it('gives the unfinished last line of a file that is gone', async () => {
  await writeFile(file, '')
  await log.start()
  await appendFile(file, 'no end')
  await log.poll()
  await rm(file)
  await log.poll()
  expect(lines).toEqual(['no end'])
})
