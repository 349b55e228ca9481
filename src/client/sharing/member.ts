import type { ConnectionEnd, ConnectionState, OpenInfo } from '../events.ts'
import type { PerAttempt, SourceOptions } from '../options.ts'
import { httpSource, type Sink, type Source, type SourceEvents } from '../source.ts'
import { watchPage } from '../wake.ts'
import { contend, type Leadership, type LockManager } from './leadership.ts'
import { isContent, isMessage, type Message, portable, revived, type Told } from './message.ts'

// Tabs that share one connection are a group. The tab with the lock is the leader: it has the connection, and passes on
// all its events. These rules keep the order, and prevent losses and repetitions:
//
// 1. The messages of the leader are a chain. Each link has the position before it (`prev`) and the position after it
// (`id`). A member delivers a link only if its own position is `prev`. So a fault between tabs (a link that was lost
// while a page was frozen, a link of a former leader, links in another order) never causes a wrong delivery: the member
// notices that it is out of step.
// 2. A member out of step catches up on its own. It opens a separate connection at its position, and delivers the
// events that the hub sends there. Both streams have the order of one log. So as soon as its position is the `prev` of
// a link of the group, it has delivered every event before that link, and none after it: it rejoins the group and
// closes its separate connection. The same applies to a tab that was reloaded and has its position from a store, to a
// tab that starts with `rewind`, and to a tab whose iterator is slower than the group.
// 3. A new leader continues from its own position. A BroadcastChannel delivers messages to all tabs in one order,
// including the sender's own, because it sends and receives with two objects. The new leader announces itself, and
// starts when it receives its own announcement: then it has received every message of the former leader, and has the
// position of the group. If a browser has another order, the chain does not fit, and rule 2 applies.
// 4. A leader that is frozen or stuck sends nothing. A member that receives nothing for a while asks; without an answer
// it steals the lock. Later messages of the former leader are ignored, because another tab has announced itself since.

/** The time that a leader may be silent before a member asks, and the time that it has to answer. */
const QUIET_MS = 10_000
const ANSWER_MS = 5_000
/**
 * Links that may wait for a slow iterator, or for the end of catching up. With more of them the member catches up
 * again.
 */
const MAX_INBOX = 1_000

/** A connection that all tabs with the same `name` share. */
export function memberSource(
  url: PerAttempt<string | URL>,
  options: SourceOptions,
  begin: () => Promise<string>,
  sink: Sink,
  name: string,
  locks: LockManager,
): Source {
  const memberId = `${Math.random()}`
  const life = new AbortController()
  let position: string | undefined
  /** The position after the last event or gap that was delivered here. */
  let last = ''
  let leader: string | undefined
  /** The newest link, taken or not. */
  let newest: Told | undefined
  /** What the hub said to the leader, for those who join. */
  let open: OpenInfo | undefined
  let hasSynced = false
  const inbox: Told[] = []
  let isDelivering = false
  /** The connection of the group, while this tab leads it. */
  let groupSource: Source | undefined
  /** A connection of its own, while it catches up. */
  let ownSource: Source | undefined
  /** Whether the lock is held, and the group has heard of it. */
  let isElected = false
  let isAlone = false
  /** One object to hear with and one to speak with: an object does not hear itself. */
  let incoming: InstanceType<typeof BroadcastChannel> | undefined
  let outgoing: InstanceType<typeof BroadcastChannel> | undefined
  let leadership: Leadership | undefined
  let timer: NodeJS.Timeout | undefined

  const post = (message: Message): void => {
    try {
      outgoing?.postMessage(message)
    } catch {
      goAlone()
    }
  }

  /** Tabs cannot communicate here: this one has a separate connection from now on. */
  function goAlone(): void {
    if (isAlone || life.signal.aborted) return
    isAlone = true
    leave()
    catchUp()
  }

  // -- in step

  function isEmpty(): boolean {
    return position === '' && !options.rewind
  }

  /** Tells the links that follow on each other, one after the other. */
  async function deliver(): Promise<void> {
    if (isDelivering || ownSource) return
    isDelivering = true
    while (inbox.length && !ownSource && !life.signal.aborted) {
      const link = inbox[0]!
      // A tab without a position starts at the position of the group.
      if (isEmpty()) position = link.prev
      if (link.prev !== position) break
      inbox.shift()
      await take(link)
    }
    isDelivering = false
    // What was to come next is not there, or was dropped.
    if (!ownSource && newest && position !== newest.id && !life.signal.aborted) catchUp()
    if (isElected && !ownSource && !groupSource) lead()
  }

  async function take({ type, detail, id, last: lastThen }: Told): Promise<void> {
    position = id
    last = lastThen
    if (type === 'closed') {
      const { reason, error } = detail as ConnectionEnd
      end(reason, error && (revived('error', error) as typeof error))
    } else if (type !== 'sync') await sink(type as 'event', detail as never, id)
  }

  // -- out of step

  function catchUp(): void {
    const mine = httpSource(
      url,
      options,
      async () => position ?? '',
      async (type, detail, next) => {
        if (ownSource !== mine) return
        if (type === 'closed') return end((detail as ConnectionEnd).reason, (detail as ConnectionEnd).error)
        position = next ?? position
        if (next && isContent(type)) last = next
        await sink(type, detail, next)
        rejoin()
      },
    )
    ownSource = mine
  }

  /** Goes on with the group where that is possible. */
  function rejoin(): void {
    const at = inbox.findIndex(({ prev }) => prev === position)
    const level = newest && (position === newest.id || (last && last === newest.last))
    if (!ownSource || (at < 0 && !level)) return
    if (at < 0) {
      inbox.length = 0
      position = newest!.id
      sink('position', {}, position)
    } else inbox.splice(0, at)
    drop(ownSource)
    if (newest) sink('state', newest.state)
    deliver()
  }

  /** Ends a source that has nothing more to say to anybody. */
  function drop(source: Source | undefined): void {
    ownSource = ownSource === source ? undefined : ownSource
    groupSource = groupSource === source ? undefined : groupSource
    source?.end('closed')
  }

  // -- leading

  function lead(): void {
    let id = position ?? ''
    let lastTold = last
    let state: ConnectionState = 'connecting'
    const mine = httpSource(
      url,
      options,
      async () => id,
      async (type, detail, next = id) => {
        if (groupSource !== mine) return
        if (type === 'state') state = detail as ConnectionState
        tell(type, detail, next)
      },
    )
    function tell(type: keyof SourceEvents | 'sync', detail: unknown, next: string): void {
      if (isContent(type)) lastTold = next
      post({ kind: 'told', from: memberId, type, detail: portable(detail), prev: id, id: next, last: lastTold, state })
      id = next
    }
    answer = () => tell('sync', open, id)
    groupSource = mine
  }

  let answer = (): void => {}

  function onLockGained(): void {
    post({ kind: 'lead', from: memberId })
  }

  function onLockLost(): void {
    isElected = false
    drop(groupSource)
    expectLeader(QUIET_MS)
  }

  /** Waits for the leader to say something; asks it to, and takes its place if it does not. */
  function expectLeader(ms: number): void {
    clearTimeout(timer)
    if (isElected || life.signal.aborted) return
    timer = setTimeout(
      () => {
        post({ kind: 'ask', from: memberId })
        timer = setTimeout(() => leadership?.steal(), ANSWER_MS)
        unref()
      },
      ms * (1 + Math.random() / 2),
    )
    unref()
  }

  function unref(): void {
    if (options.unref) timer?.unref()
  }

  // -- hearing

  function receive({ data }: { data: unknown }): void {
    // Any script of the origin can speak on the channel.
    if (!isMessage(data)) return
    const message = data
    const { kind, from } = message
    if (kind === 'lead') {
      leader = from
      isElected = from === memberId
      hasSynced ||= isElected
      if (!isElected) drop(groupSource)
      expectLeader(QUIET_MS)
      deliver()
    } else if (kind === 'told') {
      leader ??= from
      if (from === leader) receiveLink(message)
    } else if (groupSource) {
      if (kind === 'ask') answer()
      if (kind === 'wake') groupSource.wake()
      if (kind === 'reconnect') groupSource.reconnect()
    }
  }

  function receiveLink(link: Told): void {
    newest = link
    expectLeader(QUIET_MS)
    const { type, detail, state } = link
    if (type === 'open' || (type === 'sync' && detail)) open = detail as OpenInfo
    if (type === 'error' || type === 'state') {
      if (!ownSource) sink(type, revived(type, detail) as never)
      return
    }
    if (inbox.length >= MAX_INBOX) inbox.length = 0
    inbox.push(link)
    if (!hasSynced && !groupSource && type === 'sync') {
      hasSynced = true
      if (isEmpty()) position = link.id
      if (position === link.id) {
        sink('state', state)
        if (open) sink('open', { ...open, resumed: false, id: position }, position)
      }
    }
    if (ownSource) rejoin()
    else deliver()
  }

  // -- coming and going

  function join(): void {
    try {
      incoming = new BroadcastChannel(name)
      outgoing = new BroadcastChannel(name)
    } catch {
      return goAlone()
    }
    if (options.unref) for (const channel of [incoming, outgoing]) (channel as { unref?: () => void }).unref?.()
    incoming.onmessage = receive as never
    leadership = contend(locks, name, onLockGained, onLockLost, goAlone)
    if (!isAlone) expectLeader(0)
  }

  function leave(): void {
    clearTimeout(timer)
    leadership?.leave()
    drop(groupSource)
    drop(ownSource)
    incoming?.close()
    outgoing?.close()
    incoming = outgoing = leadership = newest = leader = undefined
    isElected = hasSynced = false
    inbox.length = 0
  }

  function wake(away?: boolean): void {
    if (isAlone) ownSource?.wake(away)
    else if (away) {
      leave()
      sink('state', 'waiting')
    } else if (!incoming) join()
    else if (groupSource) groupSource.wake(away)
    // Each tab hears of the network by itself, the leader among them.
    else if (away === undefined) post({ kind: 'wake', from: memberId })
  }

  function end(reason: ConnectionEnd['reason'], error?: ConnectionEnd['error']): void {
    if (life.signal.aborted) return
    life.abort()
    leave()
    sink('closed', { reason, error })
  }

  begin().then((from) => {
    position = from
    if (life.signal.aborted) return
    watchPage(wake, life.signal)
    sink('state', 'connecting')
    join()
  })

  return {
    wake,
    reconnect() {
      ownSource?.reconnect()
      if (groupSource) groupSource.reconnect()
      else post({ kind: 'reconnect', from: memberId })
    },
    end,
  }
}
