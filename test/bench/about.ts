import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { cpus, release, totalmem, type } from 'node:os'
import { NGINX } from './nchan.ts'
import type { Peer } from './peers.ts'
import { fileLimit } from './proc.ts'
import { pinned } from './rig.ts'
import { format } from './scenario.ts'

/** The machine, the command and the versions of a report. */
export interface About {
  readonly date: string
  readonly command: string
  readonly machine: string
  readonly versions: readonly string[]
  readonly pinned: boolean
}

export function aboutThisRun(args: readonly string[], taking: readonly Peer[]): About {
  const all = cpus()
  const processors = `${all.length} × ${all[0]?.model.trim() ?? 'unknown processor'}`
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`
  const npm = taking.flatMap(({ npm }) => npm ?? [])
  return {
    date: new Date().toISOString().slice(0, 10),
    command: ['npm run bench', ...(args.length > 0 ? ['--', ...args] : [])].join(' '),
    machine: `${processors}, ${memory}, ${type()} ${release()}, at most ${format(fileLimit())} open files`,
    versions: [
      `Node ${process.versions.node}`,
      `express-sse-hub ${versionIn('../../package.json')}`,
      ...['express', ...npm].map((name) => `${name} ${versionIn(`../../node_modules/${name}/package.json`)}`),
      ...(taking.some(({ name }) => name === 'nchan') ? nchanVersions() : []),
    ],
    pinned,
  }
}

function versionIn(path: string): string {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')).version
}

function nchanVersions(): string[] {
  const nginx = spawnSync(NGINX!, ['-v'], { encoding: 'utf8' }).stderr.trim().split('/').at(-1)
  const nchan = spawnSync('dpkg-query', ['-W', 'libnginx-mod-nchan'], { encoding: 'utf8' })
  return [`nginx ${nginx}`, ...(nchan.status === 0 ? [`nchan ${nchan.stdout.trim().split('\t').at(-1)}`] : [])]
}
