import { execFileSync } from 'node:child_process'
import { rm, statfs, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Nemesis } from '../nemesis.ts'

/** Megabytes of a disk that is soon full. */
const SIZE = 48

/** Mounts a small disk on a folder. Undefined if that is not permitted: it then prints the missing permission. */
export function smallDisk(folder: string): Disposable | undefined {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${SIZE}m`, 'tmpfs', folder], { stdio: 'pipe' })
  } catch (error) {
    process.stderr.write(
      `A full disk cannot be tried: ${error}. Run it as root, with mount(8) of util-linux installed.\n`,
    )
    return undefined
  }
  return { [Symbol.dispose]: () => void execFileSync('umount', ['--lazy', folder]) }
}

/** Somebody else fills the disk of the log, and later makes room again. */
export function diskFull(file: string): Nemesis {
  return {
    name: 'disk full',
    lossy: false,
    async strike({ load }) {
      const folder = dirname(file)
      const other = join(folder, 'other')
      const { bavail, bsize } = await statfs(folder)
      await writeFile(other, Buffer.alloc(bavail * bsize)).catch(() => {})
      await load(1_000)
      await rm(other)
    },
  }
}
