import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import express, { type Request, type Response, type Router } from 'express'
import type { ChannelHub } from '../src/index.ts'
import type { Channels } from './channels.ts'
import { refuse } from './guard.ts'
import { shortName, type Visitors, visitorOf } from './visitors.ts'

/** Who may restart the server. `local`: a visitor on this machine. */
export type RestartBy = 'local' | 'anyone' | 'nobody'

/** A slow visitor has 300 kB a second published for it alone, and its connection moves once a second. */
const TICK_MS = 100
const SLOW_TICKS = 100
const TICKS_PER_PULSE = 10
const BALLAST_EVENTS = 15
const BALLAST = 'This event is ballast: it has to go through a connection that is too slow for it. '.repeat(25)
const MAX_SLOW = 5

interface Breakable {
  readonly hub: ChannelHub<Channels>
  readonly visitors: Visitors
  readonly log: (text: string) => void
  readonly restartBy: RestartBy
  /** Ends the process in peace. */
  readonly drain: () => void
}

/** Routes by which visitors break their own connection, and, where that is allowed, the server. */
export function breakRoutes({ hub, visitors, log, restartBy, drain }: Breakable): Router {
  const router = express.Router()
  const slow = new Set<Socket>()

  /** A route that acts on the connection of the page that asks, and on no other. */
  const onConnection = (name: string, act: (socket: Socket, visitor: string, res: Response) => void) =>
    router.post(`/${name}`, (req, res) => {
      const visitor = visitorOf(req)
      const socket = visitors.socketOf(visitor)
      if (visitor === undefined || socket === undefined) return refuse(res, 404, 'You have no connection to break.')
      act(socket, visitor, res)
      if (!res.headersSent) res.sendStatus(202)
    })

  onConnection('cut', (socket, visitor) => {
    log(`${shortName(visitor)} cuts its connection`)
    socket.resetAndDestroy()
  })

  // Everything is taken, and nothing goes out: as behind a proxy that has lost the other side.
  onConnection('stall', (socket, visitor) => {
    log(`${shortName(visitor)} stalls its connection`)
    socket.cork()
  })

  onConnection('slow', (socket, visitor, res) => {
    if (slow.has(socket)) return refuse(res, 409, 'You are slow already.')
    if (slow.size >= MAX_SLOW) return refuse(res, 429, 'Others are slow at the moment. Try again soon.')
    log(`${shortName(visitor)} slows its connection`)
    slow.add(socket)
    void slowDown(hub, socket, visitor).finally(() => slow.delete(socket))
  })

  const onServer = (name: string, act: () => void) =>
    router.post(`/${name}`, (req, res) => {
      if (!mayRestart(restartBy, req))
        return refuse(res, 403, 'Not allowed from this address: see DEMO_RESTART in demo/README.md.')
      log(`${shortName(visitorOf(req))} wants to ${name} the server`)
      res.sendStatus(202)
      // The answer first.
      res.once('close', act)
    })

  onServer('restart', drain)
  onServer('kill', () => process.kill(process.pid, 'SIGKILL'))
  return router
}

/** Whether the server would be started again, and this visitor may have it so. */
export function mayRestart(restartBy: RestartBy, req: Request): boolean {
  if (process.send === undefined || restartBy === 'nobody') return false
  return restartBy === 'anyone' || isLocal(req)
}

/** On this machine, and not behind a proxy on it, which may serve any client. */
function isLocal(req: Request): boolean {
  const address = req.socket.remoteAddress ?? ''
  const forwarded = req.get('Forwarded') ?? req.get('X-Forwarded-For')
  return forwarded === undefined && /^(::1|(::ffff:)?127\.\d+\.\d+\.\d+)$/.test(address)
}

/**
 * For ten seconds the connection accepts its waiting bytes only once a second, while more bytes are published for it.
 * So the hub stops writing to it and serves it from the log.
 */
async function slowDown(hub: ChannelHub<Channels>, socket: Socket, visitor: string): Promise<void> {
  socket.cork()
  for (let tick = 1; tick <= SLOW_TICKS && !socket.destroyed; tick++) {
    for (let i = 0; i < BALLAST_EVENTS; i++) hub.publish(`ballast.${visitor}`, BALLAST)
    await setTimeout(TICK_MS)
    if (tick % TICKS_PER_PULSE !== 0) continue
    socket.uncork()
    socket.cork()
  }
  socket.uncork()
  if (!socket.destroyed) {
    hub.publish(`visitor.${visitor}`, { what: 'full speed', at: Date.now() }, { event: 'connection' })
  }
}
