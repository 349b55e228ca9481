import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Server } from 'node:http'
import { createServer } from 'node:net'
import cors from 'cors'
import { EventSource } from 'eventsource'
import express, { type Express } from 'express'
import { afterAll, onTestFinished } from 'vitest'
import { ChannelHub, sse } from '../../src/index.ts'
import { type OpenStream, openStream } from '../../src/testing/index.ts'
import { ModuleFolder } from './modules.ts'
import type { Piece } from './snippets.ts'

/** The longest wait for a condition that a test expects. */
export const PATIENT = { timeout: 15_000 }

const stops: (() => unknown)[] = []

/** The modules of a chapter. They, and everything that this file starts, end with the chapter. */
export function modulesOf(chapter: string): ModuleFolder {
  const folder = new ModuleFolder(chapter)
  afterAll(async () => {
    for (const stop of stops) await stop()
    folder.remove()
  })
  return folder
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

/** Runs a module of the folder in a separate process. Resolves with its first line. */
export async function runModule(folder: ModuleFolder, file: string): Promise<{ child: ChildProcess; line: string }> {
  const args = ['--import', 'tsx', file]
  const child = spawn(process.execPath, args, { cwd: folder.path, stdio: ['ignore', 'pipe', 'inherit'] })
  stops.push(() => child.kill('SIGKILL'))
  const [line] = await once(child.stdout!, 'data')
  return { child, line: String(line).trim() }
}

export async function listen(app: Express): Promise<string> {
  const server: Server = app.listen(0)
  await once(server, 'listening')
  stops.push(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://localhost:${(server.address() as { port: number }).port}`
}

export const requireUser: express.RequestHandler = (req, res, next) => {
  const id = req.get('x-user')
  if (id === undefined) return void res.sendStatus(401)
  Object.assign(req, { user: { id, editor: id === 'editor', sessionEnds: new Date(Date.now() + 60_000) } })
  next()
}

const isEditor = (req: express.Request) => req.get('x-user') === 'editor'

const requireEditor: express.RequestHandler = (req, res, next) => {
  if (isEditor(req)) next()
  else res.sendStatus(403)
}

/** Serves an application with one of the pieces in it. */
export async function serve(
  folder: ModuleFolder,
  piece: Piece,
  environment: object = {},
  ...before: express.RequestHandler[]
) {
  const app = express()
  const hub = new ChannelHub()
  app.use(sse(), ...before)
  const given = { app, hub, requireUser, requireEditor, isEditor, cors, ...environment }
  const { default: run } = await folder.import(`${piece}.ts`)
  return { hub, given: await run(given), url: await listen(app) }
}

export async function open(url: string, path: string, options?: Parameters<typeof openStream>[2]): Promise<OpenStream> {
  const stream = await openStream(url, path, options)
  onTestFinished(() => stream.drop())
  return stream
}

export function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  })
}

/** Runs a command line with curl in it until `enough` of its output, or its end. */
export async function shell(line: string, enough: (output: string) => boolean = () => false): Promise<string> {
  const command = line.replace(/\s+#.*$/, '').replaceAll(/\bcurl /g, "curl -sS -m 5 -w '\\n%{http_code}' ")
  const child = spawn('bash', ['-c', `exec 2>&1; ${command}`], { detached: true })
  const closed = once(child, 'close')
  let output = ''
  child.stdout.on('data', (data) => {
    output += data
    // A little longer, to see whether more output follows.
    if (enough(output)) setTimeout(() => child.exitCode ?? process.kill(-child.pid!), 50)
  })
  await closed
  return output
}

/** `EventSource` as a page at `url` has it: it accepts relative URLs. `opened` gets each new source. */
export function sourceAt(url: string, opened: EventSource[]) {
  return class extends EventSource {
    constructor(path: string) {
      super(new URL(path, url))
      opened.push(this)
    }
  }
}
