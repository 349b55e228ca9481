import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A hop between client and server that cuts every connection when it is told to. */
export interface CuttingProxy {
  readonly url: string
  /** Cuts them in the middle of whatever they carry. Returns how many there were. */
  cut(): number
  close(): Promise<void>
}

export async function cuttingProxy(port: number): Promise<CuttingProxy> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
      socket.pipe(other)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: own } = server.address() as { port: number }
  const cut = () => {
    const count = sockets.size / 2
    for (const socket of sockets) socket.resetAndDestroy()
    return count
  }
  return {
    url: `http://127.0.0.1:${own}`,
    cut,
    async close() {
      server.close()
      cut()
      await once(server, 'close')
    },
  }
}
