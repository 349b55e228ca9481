import { cp, open, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { connectionsOf, inSilence, type Nemesis } from '../nemesis.ts'

// Faults of the file of a SQLite log, besides those of its process.

/** What belongs to a database: without its write-ahead log it is another one. */
const PARTS = ['', '-wal']

/** The end of the write-ahead log is gone, as after a power failure of a disk that lied. */
export function walCutShort(file: string): Nemesis {
  return {
    name: 'write-ahead log cut short',
    lossy: true,
    async strike({ hub, random }) {
      await hub.kill()
      const wal = `${file}-wal`
      const { size } = await stat(wal)
      const handle = await open(wal, 'r+')
      await handle.truncate(Math.floor(size * (0.5 + random() / 2)))
      await handle.close()
      // The next opening rebuilds the index of the write-ahead log.
      await rm(`${file}-shm`, { force: true })
      await hub.start()
    },
  }
}

/**
 * An operator restores an old backup. Some clients reconnect at once, to a log that ends before their positions; others
 * when the log has grown past them with other events.
 */
export function backupRestored(file: string): Nemesis {
  return {
    name: 'older copy restored',
    lossy: true,
    async strike(target) {
      const { hub, load, subscribers } = target
      const late = subscribers.filter((_, i) => i % 2 === 1)
      const copy = join(dirname(file), 'copy.db')
      await inSilence(target, async () => {
        const before = connectionsOf(target)
        await hub.kill()
        for (const part of PARTS) await cp(`${file}${part}`, `${copy}${part}`, { force: true })
        await hub.start()
        await target.reconnected(before)
      })
      await load(500)
      for (const each of late) each.stayAway()
      await hub.kill()
      for (const part of [...PARTS, '-shm']) await rm(`${file}${part}`, { force: true })
      for (const part of PARTS) await cp(`${copy}${part}`, `${file}${part}`)
      await hub.start()
      await load(1_500)
      for (const each of late) each.comeBack()
    },
  }
}
