import { setTimeout as sleep } from 'node:timers/promises'
import { hub, lettingHub } from '../peers.ts'
import { type Bench, connectAll, format, type Scenario } from '../scenario.ts'

const STREAMS = 5_000
const MORE_STREAMS = 15_000
/** Pages go back to the system some time after the garbage is found. */
const AFTER_GC_MS = 2_500

/** Resident KiB as it stands, and after a collection. */
async function look({ peer, server, mode }: Bench): Promise<{ now: number; afterGc: number }> {
  await sleep(500)
  const now = server.residentKiB()
  if (!peer.isNode) return { now, afterGc: Number.NaN }
  await server.control('gc')
  await sleep(mode.quick ? AFTER_GC_MS / 2 : AFTER_GC_MS)
  return { now, afterGc: server.residentKiB() }
}

export const memory: Scenario = {
  name: 'memory',
  title: 'Memory of idle streams',
  about:
    'The growth of the resident memory of the server, per stream, before and after a collection. The first figure includes garbage from the burst of connections, which stays until a collection. The slope is the cost of each further stream. Memory of the kernel is not included.',
  columns: [
    { key: 'kib', title: 'KiB per stream', digits: 1 },
    { key: 'afterGc', title: 'after gc', digits: 1 },
    { key: 'slope', title: 'slope', digits: 1 },
    { key: 'slopeAfterGc', title: 'slope after gc', digits: 1 },
  ],
  isSteady: true,
  peers: (all) => all.flatMap((peer) => (peer === hub ? [hub, lettingHub] : [peer])),
  variants: ({ maxStreams, quick }) => {
    const few = quick ? STREAMS / 5 : Math.min(STREAMS, maxStreams)
    const many = quick ? 0 : Math.min(MORE_STREAMS, maxStreams)
    const slope = many > few ? `, slope to ${format(many)}` : ''
    return ([[], ['--max-semi-space-size=1']] as const).slice(0, quick ? 1 : 2).map((flags) => ({
      name: flags[0] ?? 'default flags',
      ...(flags.length > 0 && { flags }),
      run: async (bench) => {
        const table = `${format(few)} streams${slope}, ${flags[0] ?? 'default flags'}`
        const { client, server } = bench
        await connectAll(bench, 1)
        await sleep(500)
        const base = server.residentKiB()
        const { foreignCores } = await connectAll(bench, few)
        const first = await look(bench)
        const values = { kib: (first.now - base) / few, afterGc: (first.afterGc - base) / few }
        if (many <= few) return [{ table, values, foreignCores }]
        const { connected } = await client.connect(many, 1, bench.mode.connectMs)
        const second = await look(bench)
        const added = connected - few
        const slopes = {
          slope: (second.now - first.now) / added,
          slopeAfterGc: (second.afterGc - first.afterGc) / added,
        }
        return [{ table, values: { ...values, ...slopes }, foreignCores }]
      },
    }))
  },
}
