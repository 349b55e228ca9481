import type { ChannelHub } from '../src/index.ts'
import type { Channels } from './channels.ts'

/** Publishes how many read the board, whenever that changes. */
export function countReaders(hub: ChannelHub<Channels>): void {
  const board = hub.channel('board')
  let told: number | undefined
  const tell = () => {
    if (board.localSubscribers === told) return
    told = board.localSubscribers
    hub.publish('readers', { board: told }, { conflationKey: 'board' })
  }
  hub.on('subscribe', tell)
  hub.on('unsubscribe', (_subscription, reason) => {
    if (reason !== 'shutdown') tell()
  })
}
