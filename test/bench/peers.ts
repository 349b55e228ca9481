import { fileURLToPath } from 'node:url'
import { nchan } from './nchan.ts'

/** A server that takes part. */
export interface Peer {
  readonly name: string
  /** As it stands in the tables. */
  readonly title: string
  /** The package whose version the report names. */
  readonly npm?: string
  /** Replays missed events to clients that reconnect. */
  readonly replays: boolean
  /** Answers /control, so it can publish in its own process and collect garbage on request. */
  readonly isNode: boolean
  /** Makes its own load, so it may have every core. */
  readonly isAlone?: boolean
  command(port: number, flags: readonly string[]): readonly string[] | Promise<readonly string[]>
}

function node(name: string, title: string, file: string, more: Partial<Peer> & { args?: string[] } = {}): Peer {
  const path = fileURLToPath(new URL(`servers/${file}.mjs`, import.meta.url))
  const { args = [], ...rest } = more
  return {
    name,
    title,
    replays: false,
    isNode: true,
    command: (_, flags) => [process.execPath, '--expose-gc', ...flags, path, ...args],
    ...rest,
  }
}

export const hub = node('hub', 'express-sse-hub', 'hub', { replays: true })

/** The hub whose idle streams let go, which is about memory alone: see scenarios/memory.ts. */
export const lettingHub = node('hub', `${hub.title}, letGo`, 'hub', { replays: true, args: ['letGo'] })

/** The hub alone, which measures itself: see scenarios/growth.ts. */
export const growingHub = node('hub', 'express-sse-hub', 'growth')

/** The same with a log on the disk. */
export const durableHub = node('hub', 'express-sse-hub, SQLite', 'hub', { args: ['sqlite'], replays: true })

/** These measure themselves: see scenarios/durable.ts. */
export const measuringHubs: readonly Peer[] = [
  node('hub', durableHub.title, 'durable', { isAlone: true }),
  node('hub', hub.title, 'durable', { isAlone: true, args: ['memory'] }),
]
export const rawSqlite = node('raw-sqlite', 'better-sqlite3 by hand', 'raw-sqlite', { isAlone: true })

export const peers: readonly Peer[] = [
  hub,
  node('better-sse', 'better-sse', 'better-sse', { npm: 'better-sse' }),
  node('express-sse', 'express-sse', 'express-sse', { npm: 'express-sse' }),
  node('sse-channel', 'sse-channel', 'sse-channel', { npm: 'sse-channel', replays: true }),
  node('express-loop', 'Express loop by hand', 'express-loop'),
  node('bare-socket', 'bare socket loop', 'bare', { args: ['socket'], replays: true }),
  node('bare-joined', 'bare joined loop', 'bare', { args: ['joined'], replays: true }),
  node('express-joined', 'joined loop in Express', 'express-joined', { replays: true }),
  ...(nchan === undefined ? [] : [nchan]),
]
