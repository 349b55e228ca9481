import { useEffect, useState } from 'react'
// In an application of your own: 'express-sse-hub/client'. With `connectShared` of 'express-sse-hub/client/shared' all
// tabs share one connection; nothing else changes.
import { type ConnectionState, connect, type ReceivedEvent } from '../../../src/client/index.ts'

export interface Channel<Data> {
  /** The newest events, oldest first. */
  readonly events: readonly ReceivedEvent<string, Data>[]
  readonly state: ConnectionState
  /** Whether something is missing between these events. */
  readonly gap: boolean
}

/** The newest `keep` events of a channel of the hub at `url`, for as long as the component is there. */
export function useChannel<Data>(url: string, channel: string, keep = 100): Channel<Data> {
  const [events, setEvents] = useState<Channel<Data>['events']>([])
  const [state, setState] = useState<ConnectionState>('connecting')
  const [gap, setGap] = useState(false)

  useEffect(() => {
    setEvents([])
    setGap(false)
    const connection = connect<Record<string, Data>>(url, { channels: [channel], rewind: keep })
    connection.on('event', (event) => setEvents((earlier) => [...earlier, event].slice(-keep)))
    connection.on('gap', () => setGap(true))
    connection.on('state', setState)
    return () => connection.close()
  }, [url, channel, keep])

  return { events, state, gap }
}
