import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { sqliteBroker } from '../../src/broker/sqlite/index.ts'
import { loadDriver } from '../../src/broker/sqlite/log/driver.ts'
import { ChannelHub } from '../../src/index.ts'
import { ROOT, sourceOf } from './documents.ts'
import { modulesOf } from './serve.ts'
import { DRIVER } from './snippets.ts'

const folder = modulesOf('sqlite')

/** The data of the first `count` events after a position, read from a copy of the log. */
async function eventsAfter(after: string, file: string, count: number): Promise<unknown[]> {
  const hub = new ChannelHub({ broker: sqliteBroker({ file: join(folder.path, file) }) })
  const reader = hub.events('news', { after })
  const data = []
  for (let i = 0; i < count; i++) data.push((await reader.next()).value.data)
  await reader.return!()
  await hub.close()
  return data
}

it('the README of the log in a file keeps it, and copies it while it is in use', async () => {
  const { broker, hub } = await folder.import('sqlite.ts')
  const { id: after } = await hub.publish('news', 'first')
  await hub.publish('news', 'second')
  const { default: backup } = await folder.import('backup.ts')
  await backup({ broker })
  await hub.publish('news', 'third')
  // As from another process.
  const db = (await loadDriver()).open(join(folder.path, 'data/hub.db'))
  db.exec(`VACUUM INTO '${join(folder.path, 'data/vacuumed.db')}'`)
  db.close()
  await hub.close()
  expect(await eventsAfter(after, 'data/hub.db', 2)).toEqual(['second', 'third'])
  expect(await eventsAfter(after, 'backup/hub.db', 1)).toEqual(['second'])
  expect(await eventsAfter(after, 'data/vacuumed.db', 2)).toEqual(['second', 'third'])

  // And the line of the root README opens the same log.
  const { hub: durable } = await folder.import('durable.ts')
  const reader = durable.events('news', { after })
  expect((await reader.next()).value.data).toBe('second')
  await reader.return!()
  await durable.close()
})

it('the README of the log in a file installs the driver that the error message names', () => {
  expect(sourceOf('broker/sqlite/log/driver.ts')).toContain(`: ${DRIVER.trim()}, or use Node 22.13`)
  const { peerDependencies, peerDependenciesMeta } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  // An application may have another version for itself: the version is checked when a log is opened.
  expect(peerDependencies['better-sqlite3']).toBe('>=9')
  expect(peerDependenciesMeta['better-sqlite3']).toEqual({ optional: true })
})
