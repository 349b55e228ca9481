import type { Connection } from './connection.ts'
import { clock, element } from './element.ts'

/** The header: whether the page is live, and with which process. */
export function showStatus({ client, hear }: Connection): void {
  const dot = element('dot')
  const status = element('status')
  let wasLive = false
  let lostAt: number | undefined

  const show = (state: string, text: string) => {
    dot.dataset['state'] = state
    status.textContent = text
  }
  client.on('open', ({ resumed }) => {
    const seconds = lostAt === undefined ? undefined : ((Date.now() - lostAt) / 1000).toFixed(1)
    lostAt = undefined
    wasLive = true
    if (seconds === undefined) show('live', 'Live')
    else show('live', resumed ? `Live again after ${seconds} s, nothing is missing` : `Live again after ${seconds} s`)
  })
  client.on('state', (state) => {
    if (state === 'open' || !wasLive) return
    lostAt ??= Date.now()
    show('reconnecting', 'Reconnecting …')
  })
  // Emitted after the open, if the log no longer has the missed events.
  client.on('gap', ({ channels }) => show('live', `Live again, with missing events on ${channels.length} channels`))
  client.on('closed', () => show('closed', 'Closed by the server. Reload the page to try again.'))
  hear('server', ({ pid, startedAt, node, broker }) => {
    const log = broker === 'sqlite' ? 'its log in SQLite' : 'its log in memory'
    element('server').textContent = `Process ${pid}, up since ${clock(startedAt)}, Node ${node.slice(1)}, ${log}`
  })
}
