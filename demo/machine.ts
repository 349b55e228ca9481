import { cpus, freemem, loadavg, totalmem } from 'node:os'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { MachineSample } from './channels.ts'

const INTERVAL_MS = 500

/** Measures twice a second and hands each sample to `publish`. Returns what ends it. */
export function measureMachine(publish: (sample: MachineSample) => void): () => void {
  const delay = monitorEventLoopDelay({ resolution: 10 })
  delay.enable()
  let before = cpuTimes()
  const timer = setInterval(() => {
    const now = cpuTimes()
    const total = now.total - before.total
    // Between two readings of a counter that ticks every 10 ms nothing may have passed.
    const cpuPercent = total === 0 ? 0 : (100 * (now.busy - before.busy)) / total
    before = now
    publish({
      at: Date.now(),
      cpuPercent: round(cpuPercent),
      memoryUsedBytes: totalmem() - freemem(),
      memoryTotalBytes: totalmem(),
      load: round(loadavg()[0] ?? 0),
      // The histogram counts whole periods of its timer, which are not a delay.
      eventLoopDelay: { p50: late(delay.percentile(50)), p99: late(delay.percentile(99)) },
    })
    delay.reset()
  }, INTERVAL_MS)
  return () => {
    clearInterval(timer)
    delay.disable()
  }
}

function cpuTimes(): { busy: number; total: number } {
  let busy = 0
  let total = 0
  for (const { times } of cpus()) {
    const all = times.user + times.nice + times.sys + times.idle + times.irq
    busy += all - times.idle
    total += all
  }
  return { busy, total }
}

function late(nanoseconds: number): number {
  return round(Math.max(0, nanoseconds / 1e6 - 10))
}

function round(value: number): number {
  return Math.round(value * 100) / 100
}
