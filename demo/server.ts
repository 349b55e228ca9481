import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

// npm start. The server, demo/app.ts, runs in a separate process, so that a visitor can restart or kill it and see the
// effect on the streams. When it ends without a request from here, it is started again on the same port.

const APP = fileURLToPath(new URL('./app.ts', import.meta.url))

let port: string | undefined
let stopping = false
let app = run()

function run(): ChildProcess {
  const child = fork(APP, { env: port === undefined ? process.env : { ...process.env, PORT: port } })
  let up = false
  child.on('message', (message: { port: number }) => {
    up = true
    if (port === undefined) process.stdout.write(`http://localhost:${message.port}\n`)
    port = String(message.port)
  })
  child.once('exit', (code, signal) => {
    // Asked to end before it could hear: that is an end in peace as well.
    if (stopping) process.exit(code ?? (signal === 'SIGTERM' ? 0 : 1))
    // What did not come up would not the next time either; it has said why.
    if (!up) process.exit(code ?? 1)
    app = run()
  })
  return child
}

function stop(): void {
  stopping = true
  app.kill('SIGTERM')
}
process.on('SIGTERM', stop)
process.on('SIGINT', stop)
