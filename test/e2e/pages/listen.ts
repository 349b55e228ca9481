import { connect, sessionStore } from '../../../src/client/index.ts'
import { connectShared } from '../../../src/client/shared.ts'
import type { ListenOptions, Told } from '../told.ts'

/** What is published in these tests. */
interface Published {
  readonly uid: string
}

/** Listens in this page, or in this worker, and reports the events. Returns a function that ends it. */
export function listen(options: ListenOptions, tell: (told: Told) => void): () => void {
  if (options.kind === 'native') return listenNatively(options, tell)
  const { url, channels, store, credentials, connectTimeoutMs, silenceMs, minMs = 100 } = options
  let token = '0'
  const connection = (options.kind === 'shared' ? connectShared : connect)<Record<string, Published>>(url, {
    channels,
    connectTimeoutMs,
    silenceMs,
    retry: { minMs, maxMs: Math.max(minMs, 2_000) },
    credentials: credentials ? 'include' : undefined,
    store: store === undefined ? undefined : sessionStore(store),
    headers: options.token ? () => ({ Authorization: `Bearer ${token}` }) : undefined,
    onUnauthorized: options.token
      ? async () => {
          token = await (await fetch('/control/token')).text()
        }
      : undefined,
  })
  let sent = ''
  connection.on('state', (state) => {
    tell({ what: 'state', state })
    if (state === 'connecting') sent = connection.lastEventId
    if (state === 'waiting') tell({ what: 'cut' })
  })
  connection.on('open', ({ resumed }) => tell({ what: 'open', sent, resumed, id: connection.lastEventId }))
  connection.on('event', ({ id, channel, data }) => tell({ what: 'event', id, channel, uid: data.uid }))
  connection.on('gap', ({ reason, channels, to }) => tell({ what: 'gap', reason, channels, to }))
  connection.on('error', ({ code }) => tell({ what: 'error', error: code }))
  connection.on('closed', ({ reason }) => tell({ what: 'closed', reason }))
  return () => connection.close()
}

function listenNatively({ url, channels, credentials = false }: ListenOptions, tell: (told: Told) => void): () => void {
  const target = new URL(url, location.href)
  for (const channel of channels) target.searchParams.append('channel', channel)
  const source = new EventSource(target, { withCredentials: credentials })
  let sent = ''
  const read = (type: string, use: (content: never, id: string) => void): void =>
    source.addEventListener(type, ({ data, lastEventId }) => {
      use(JSON.parse(data) as never, lastEventId)
      sent = lastEventId
    })
  read('hub.open', ({ resumed }: { resumed: boolean }, id) => tell({ what: 'open', sent, resumed, id }))
  read('hub.gap', (gap: Omit<Extract<Told, { what: 'gap' }>, 'what'>) => tell({ what: 'gap', ...gap }))
  read('hub.position', () => {})
  read('message', (event: { channel: string; uid: string }, id) => tell({ what: 'event', id, ...event }))
  source.onerror = () => {
    if (source.readyState === EventSource.CLOSED) tell({ what: 'closed', reason: 'failed' })
    else tell({ what: 'cut' })
  }
  return () => source.close()
}
