import type { FleetFault, FleetTarget } from '../fleet.ts'

// What can happen to a fleet and to its server.

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

function fault(
  name: string,
  strike: (target: FleetTarget) => Promise<unknown>,
  options: { lossy?: boolean; server?: readonly string[] } = {},
): FleetFault {
  const { lossy = false, server = [] } = options
  return { name, lossy, server, strike: async (target) => void (await strike(target)) }
}

const AOF = ['--appendonly', 'yes']

export const clientsKilled = fault('CLIENT KILL of all connections', async ({ server }) => {
  await server.command('CLIENT', 'KILL', 'TYPE', 'pubsub')
  await server.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
})

export const killedWithFile = fault(
  'kill -9 of the server, with an append-only file',
  async ({ server }) => {
    await server.kill()
    await server.start()
  },
  { server: AOF },
)

export const killedWithoutFile = fault(
  'kill -9 of the server, which keeps nothing',
  async ({ server }) => {
    await server.kill()
    await server.start()
  },
  { lossy: true },
)

export const rolledBack = fault(
  'kill -9 of the server, back to an older snapshot',
  async ({ server, random }) => {
    await server.command('SAVE')
    await sleep(100 + random() * 300)
    await server.kill()
    await server.start()
  },
  { lossy: true },
)

export function serverFrozen(ms: number): FleetFault {
  return fault(`SIGSTOP of the server for ${ms / 1_000} s`, async ({ server }) => {
    server.signal('SIGSTOP')
    await sleep(ms)
    server.signal('SIGCONT')
  })
}

export const cut = fault('the connections of a node are cut', async ({ any }) => any().proxy.cut())

export const halfOpen = fault('the connections of a node are half open', async ({ any, random }) => {
  const { proxy } = any()
  proxy.stall()
  await sleep(500 + random() * 1_000)
})

export const delayed = fault('the answers to a node are delayed', async ({ any, random }) => {
  const { proxy } = any()
  proxy.hold()
  await sleep(200 + random() * 2_000)
  proxy.flow()
})

export const flushed = fault('FLUSHALL', ({ server }) => server.command('FLUSHALL'), { lossy: true })

export const scriptsFlushed = fault('SCRIPT FLUSH', ({ server }) => server.command('SCRIPT', 'FLUSH'))

/** The life of the server stays the same. Only the nodes know that there was more. */
export const reloaded = fault(
  'DEBUG RELOAD of an older snapshot',
  async ({ server, random }) => {
    await server.command('SAVE')
    await sleep(100 + random() * 300)
    await server.command('DEBUG', 'RELOAD', 'NOSAVE')
  },
  { lossy: true },
)

export const nodeKilled = fault('kill -9 of a node', async ({ any }) => {
  const { hub } = any()
  await hub.kill()
  await hub.start()
})

export const nodeFrozen = fault('SIGSTOP of a node', async ({ any, random }) => {
  const { hub } = any()
  hub.freeze()
  await sleep(300 + random() * 4_000)
  hub.thaw()
})

export const outputOverflow = fault('the output buffer of a slow node runs over', async ({ any, server }) => {
  await server.command('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 16kb 0 0')
  const { hub } = any()
  hub.freeze()
  await sleep(1_500)
  hub.thaw()
  await server.command('CONFIG', 'SET', 'client-output-buffer-limit', 'pubsub 32mb 8mb 60')
})

export const rollingDeploy = fault('a rolling deploy', async ({ nodes }) => {
  for (const { hub } of nodes) {
    await hub.stop()
    await hub.start()
  }
})
