import { documentAt, documents } from './documents.ts'

// Every snippet has a name here, and the chapters beside this file run them by name. documents.test.ts fails for a snippet
// without a name, and for a name that no chapter uses.

const root = documentAt('README.md')
const stream = documentAt('src/stream/README.md')
const express = documentAt('src/express/README.md')
const hub = documentAt('src/hub/README.md')
const sqlite = documentAt('src/broker/sqlite/README.md')
const client = documentAt('src/client/README.md')

const TITLE = 'express-sse-hub'
export const SERVER = root.take(TITLE, 'ts', 'app.listen')
export const PAGE = root.take(TITLE, 'html')
export const CURL = root.take(TITLE, 'sh')
export const INSTALL = root.take('Install', 'sh', 'npm pack')
export const COMMANDS = root.take('Install', 'sh', 'npm start')
export const DURABLE = root.take('Durable in one line', 'ts')
export const SHUTDOWN = root.take('Deploy', 'ts')
export const CLIENT = root.take('The client', 'ts')
export const SQLITE = sqlite.take('The log in a file: `sqliteBroker()`', 'ts')
export const DRIVER = sqlite.take('Driver', 'sh')
export const CJS = express.take('Express 4 and CommonJS', 'js')
export const NGINX = express.take('Behind proxies', 'nginx')
export const ITERATOR = client.take('`connect(url, options?)`', 'ts')
export const SHARED = client.take('One connection for all tabs', 'ts')
export const POLLING = client.take('Proxies that hold streams back', 'ts')
export const IN_A_PAGE = client.take('Without the client', 'js')
const state = documentAt('src/state/README.md')
export const STATE_PAGE = state.take('A server and a page', 'js')
export const STATE_WIRE = state.take('On the wire', 'text')
export const TESTING = documentAt('src/testing/README.md').take('`openStream()`', 'ts')
export const STATES = hub.take('Position, replay, gap and lag', 'mermaid')
export const WALK = documentAt('src/README.md').take('The path of an event', 'mermaid')

/** Requests to one server, in order: each `sh` with the output that follows it. */
export const REQUESTS = express.takeAll(
  'GET `/channels/:channel`',
  'Reading without a stream',
  'POST `/channels/:channel`',
)

/** Command lines for contributors. */
export const CONTRIBUTORS = documents
  .filter(({ path }) => path === 'CONTRIBUTING.md' || path.startsWith('test/'))
  .flatMap((document) => document.takeAll(...document.headings))

/** Parts of an application that take their environment as a parameter. Each becomes a module. */
export const PIECES = {
  streams: { code: root.take(TITLE, 'ts', '/clock').replace('1000', '20'), needs: 'app, model', gives: '' },
  finish: { code: root.take('Job progress', 'ts'), needs: 'app, progressOf', gives: '' },
  channels: {
    code: root.take('Several channels', 'ts'),
    needs: 'app, hub, isEditor, requireEditor, requireUser',
    gives: 'id',
  },
  guarded: { code: root.take('Who may hear what', 'ts'), needs: 'app, hub, requireUser', gives: '' },
  events: { code: hub.take('In the process, without HTTP', 'ts'), needs: 'hub, signal, console', gives: '' },
  ephemeral: { code: hub.take('Ephemeral channels', 'ts'), needs: '', gives: 'liveHub, id' },
  rendered: {
    code: hub.take('A page that is rendered on the server', 'ts'),
    needs: 'app, hub, orders, render',
    gives: '',
  },
  state: { code: state.take('A server and a page', 'ts'), needs: 'app, hub, carts', gives: '' },
  typed: { code: hub.take('Types', 'ts'), needs: '', gives: 'typedHub' },
  backup: { code: sqlite.take('Operation', 'ts'), needs: 'broker', gives: '' },
  http: { code: express.take('HTTP', 'ts'), needs: 'app, hub', gives: '' },
  letGo: { code: stream.take('Many idle streams', 'ts'), needs: 'app, hub', gives: '' },
  cors: { code: express.take('Other middleware', 'ts', 'cors('), needs: 'app, hub, cors', gives: '' },
  session: { code: express.take('Other middleware', 'ts', 'session.save'), needs: 'app, hub', gives: '' },
} as const

export type Piece = keyof typeof PIECES
