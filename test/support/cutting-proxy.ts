import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A hop between client and server that a test can cut, hold and release. */
export interface CuttingProxy {
  readonly url: string
  /** Cuts them in the middle of whatever they carry, or those alone that are stalled. Returns how many there were. */
  cut(stalled?: 'stalled'): number
  /** Keeps them, and delivers no more bytes of the server, not even its end. */
  stall(): number
  /** Holds back the bytes of the server on them, until `flow`. */
  hold(): number
  /** Delivers the bytes that were held back, at once. */
  flow(): void
  close(): Promise<void>
}

/** One connection of a client, and the state of the server's bytes on it. */
interface Link {
  readonly client: Socket
  readonly upstream: Socket
  /** What is held back. */
  held: Buffer[] | undefined
  stalled: boolean
}

export async function cuttingProxy(port: number): Promise<CuttingProxy> {
  const links = new Set<Link>()
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1')
    const link: Link = { client, upstream, held: undefined, stalled: false }
    links.add(link)
    client.pipe(upstream)
    upstream.on('data', (bytes) => {
      if (link.stalled) return
      if (link.held !== undefined) link.held.push(bytes)
      else if (!client.write(bytes)) upstream.pause()
    })
    client.on('drain', () => upstream.resume())
    client.on('error', () => {})
    upstream.on('error', () => {})
    client.on('close', () => {
      links.delete(link)
      upstream.destroy()
    })
    upstream.on('close', () => {
      if (link.held === undefined && !link.stalled) client.destroy()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port: own } = server.address() as { port: number }
  const each = (change: (link: Link) => void, some = [...links]) => {
    for (const link of some) change(link)
    return some.length
  }
  const cut = (only?: 'stalled') =>
    each(
      ({ client, upstream }) => {
        client.resetAndDestroy()
        upstream.resetAndDestroy()
      },
      [...links].filter(({ stalled }) => stalled || only === undefined),
    )
  return {
    url: `http://127.0.0.1:${own}`,
    cut,
    stall: () =>
      each((link) => {
        link.stalled = true
      }),
    hold: () =>
      each((link) => {
        link.held ??= []
      }),
    flow() {
      each((link) => {
        const { client, upstream, held = [] } = link
        link.held = undefined
        if (link.stalled) return
        for (const bytes of held) client.write(bytes)
        if (upstream.destroyed) client.destroySoon()
      })
    },
    async close() {
      server.close()
      cut()
      await once(server, 'close')
    },
  }
}
