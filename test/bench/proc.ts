import { existsSync, readFileSync } from 'node:fs'

/** `/proc` counts in hundredths of a second, whatever the kernel's own clock is. */
const TICK_US = 10_000

/** CPU time in µs. */
export interface CpuTime {
  readonly user: number
  readonly kernel: number
}

function processAndChildren(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`
  const children = existsSync(path) ? readFileSync(path, 'latin1').trim() : ''
  return [pid, ...(children === '' ? [] : children.split(' ').flatMap((child) => processAndChildren(Number(child))))]
}

/** What a process with all its threads has used, without its children. */
export function cpuTime(pid: number): CpuTime {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The name, in brackets, may hold anything; utime and stime are the 12th and 13th field behind it.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return { user: Number(fields[11]) * TICK_US, kernel: Number(fields[12]) * TICK_US }
}

/** The same with its children: the workers of a server. */
export function cpuTimeOfAll(pid: number): CpuTime {
  const times = processAndChildren(pid).map(cpuTime)
  const total = (of: (time: CpuTime) => number) => times.reduce((sum, time) => sum + of(time), 0)
  return { user: total(({ user }) => user), kernel: total(({ kernel }) => kernel) }
}

/** The busy time of all processors, for any process, in µs. */
export function machineTime(): number {
  const stat = readFileSync('/proc/stat', 'latin1')
  const [user, nice, system, , , irq, softirq, steal] = stat.slice(4, stat.indexOf('\n')).trim().split(' ').map(Number)
  return (user! + nice! + system! + irq! + softirq! + steal!) * TICK_US
}

/** Resident memory in KiB. Of a server with workers, that of its workers. */
export function residentKiB(pid: number): number {
  const [, ...workers] = processAndChildren(pid)
  if (workers.length === 0) return fieldOf(pid, 'Rss')
  return workers.reduce((sum, worker) => sum + fieldOf(worker, 'Rss'), 0)
}

function fieldOf(pid: number, name: string): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
  return Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(rollup)?.[1])
}

/** How many files a process may have open. Node raises its own limit to the hardest that it may have. */
export function fileLimit(): number {
  const limits = readFileSync('/proc/self/limits', 'latin1')
  return Number(/^Max open files +\d+ +(\d+)/m.exec(limits)?.[1] ?? 1_024)
}
