import { type ClientInit, LoadClient } from './client.ts'

/** The load client as a separate process, so that it can have a separate core. Its commands come over IPC. */
export interface Call {
  readonly method: string
  readonly args: readonly unknown[]
}

export interface Reply {
  readonly result?: unknown
  readonly error?: string | undefined
}

let client: LoadClient | undefined

async function perform({ method, args }: Call): Promise<unknown> {
  if (method === 'init') {
    client = new LoadClient(args[0] as ClientInit)
    return
  }
  const methods = client as unknown as Record<string, (...args: readonly unknown[]) => unknown>
  return methods[method]!(...args)
}

process.on('message', (call: Call) => {
  perform(call).then(
    (result) => process.send!({ result } satisfies Reply),
    (error) => process.send!({ error: String(error) } satisfies Reply),
  )
})
process.on('disconnect', () => process.exit())
