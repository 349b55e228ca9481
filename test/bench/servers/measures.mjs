import { createServer } from 'node:http'

/** A server that measures itself: the query `what` names a measure, the rest are its numbers; its figures are the answer. */
export function serve(measures) {
  createServer(async (req, res) => {
    const { what, ...given } = Object.fromEntries(new URL(req.url, 'http://localhost').searchParams)
    const numbers = Object.fromEntries(Object.entries(given).map(([name, value]) => [name, Number(value)]))
    res.end(JSON.stringify(await measures[what](numbers)))
  }).listen(process.env.PORT, '127.0.0.1')
}

export const TEXT = 'x'.repeat(150)

/** CPU time of the process, with all its threads, in µs for each of what `work` says it has done; and the wall clock. */
export async function cost(work) {
  const [begin, before] = [performance.now(), process.cpuUsage()]
  const n = await work()
  const { user, system } = process.cpuUsage(before)
  const ms = performance.now() - begin
  return {
    cpu: (user + system) / n,
    user: user / n,
    kernel: system / n,
    wall: (ms * 1_000) / n,
    rate: (n / ms) * 1_000,
  }
}

/** The value below which this percentage of values is. */
export function percentile(values, hundredths) {
  const sorted = Float64Array.from(values).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor((sorted.length * hundredths) / 100))]
}
