import type { Cursor } from '../../protocol/cursor.ts'
import { nextTurn } from '../../server-clock.ts'
import type { BrokerListener, Loss } from '../broker.ts'
import type { StoredEvent } from '../stored-event.ts'
import { decodeEntry, decodeMessage } from './entry.ts'

/** The number of messages that are held while a sync reads. Beyond it the sync reads again. */
const MAX_HELD = 10_000
const MAX_HELD_LENGTH = 16_777_216
/** The number of channels whose last event is remembered, to notice a missing one. */
const MAX_KNOWN = 100_000
const MAX_IGNORED = 64

/** The events that a sync found. */
export interface Missed {
  readonly top: Cursor
  /** Every event up to `top`; undefined if they could not be read without a loss. */
  readonly items: readonly StoredEvent[] | undefined
}

/**
 * The messages of a link as batches in the order of the log. A sync reads the events from before the feed was live, and
 * messages are held during the sync: an early message would move the top past events that are still missing.
 */
export class Feed {
  readonly #listener: BrokerListener
  /** The channel on which the node receives the end of the log. */
  readonly #own: string
  /** A message of another life of the log arrived: a sync is due. */
  readonly #onForeign: () => void
  #state: 'down' | 'syncing' | 'live' = 'down'
  /** Everything up to here was received. */
  #received: Cursor
  #handedOver: Cursor
  #pending: (StoredEvent | Loss)[] = []
  #isDue = false
  #held: [channel: string, text: string][] = []
  #heldLength = 0
  #overflowed = false
  /** The last event of each channel on this link. */
  readonly #known = new Map<string, number>()
  /** Other epochs than the log's: earlier ones, and those of another database with the same prefix. */
  readonly #ignored = new Set<string>()
  #suspected: string | undefined
  #isClosed = false
  /** Events that are missing although no connection broke. */
  holes = 0
  /** Syncs that could not read everything. */
  suspects = 0

  constructor(listener: BrokerListener, own: string, top: Cursor, onForeign: () => void) {
    this.#listener = listener
    this.#own = own
    this.#onForeign = onForeign
    this.#received = top
    this.#handedOver = top
  }

  get state(): 'down' | 'syncing' | 'live' {
    return this.#state
  }

  /** The position that this node has seen. */
  get received(): Cursor {
    return this.#received
  }

  /** Whether messages were dropped since the last call of `hold`. */
  get overflowed(): boolean {
    return this.#overflowed
  }

  message(channel: string, text: string): void {
    if (this.#state === 'live') this.#take(channel, text)
    else if (this.#state === 'syncing') this.#hold(channel, text)
  }

  /** The link is gone. Its messages are handed over anyway. */
  down(): void {
    this.#state = 'down'
    this.#drop()
    this.#known.clear()
  }

  /** A sync begins: messages are held from now on. */
  hold(): void {
    this.#state = 'syncing'
    this.#overflowed = false
  }

  /** A sync has ended: its events are handed over first, then the held messages. */
  resume({ top, items }: Missed): void {
    this.#flush()
    if (top.epoch !== this.#received.epoch) this.#ignore(this.#received.epoch)
    if (this.#suspected !== undefined && this.#suspected !== top.epoch) this.#ignore(this.#suspected)
    this.#suspected = undefined
    this.#ignored.delete(top.epoch)
    // What the sync read was not heard: it would look like a hole.
    this.#known.clear()
    const moved = top.epoch !== this.#handedOver.epoch || top.seq !== this.#handedOver.seq
    this.#received = top
    this.#handedOver = top
    this.#state = 'live'
    if (!this.#isClosed) {
      if (items === undefined) {
        this.suspects++
        this.#listener.suspect(top)
      } else if (moved) {
        this.#listener.events(items, top)
      }
    }
    const held = this.#held
    this.#drop()
    for (const [channel, text] of held) this.message(channel, text)
  }

  /** This node no longer listens to a channel: a later message may follow missed ones. */
  left(channel: string): void {
    if (channel.startsWith('e:')) this.#known.delete(channel.slice(2))
    else this.#known.clear()
  }

  close(): void {
    this.#isClosed = true
    this.down()
  }

  #take(channel: string, text: string): void {
    if (channel === this.#own) {
      const epoch = text.slice(0, 6)
      if (epoch !== this.#received.epoch) return this.#foreign(epoch, channel, text)
      const seq = Number(text.slice(7))
      if (seq > this.#received.seq) this.#receive({ epoch, seq })
      return
    }
    const message = decodeMessage(text)
    const { epoch, seq } = message
    if (epoch !== this.#received.epoch) return this.#foreign(epoch, channel, text)
    // A second copy: the event was published on its name and on its first tokens.
    if (seq <= this.#received.seq) return
    const event = decodeEntry(text, message.at, epoch, message.channel)
    const known = this.#known.get(event.channel)
    if (known !== undefined && event.prev > known && !message.isNew) {
      this.holes++
      this.#pending.push({ channels: [event.channel], seq: Math.max(event.prev, this.#received.seq) })
    }
    if (this.#known.size >= MAX_KNOWN && known === undefined) this.#known.clear()
    this.#known.set(event.channel, seq)
    this.#pending.push(event)
    this.#receive({ epoch, seq })
  }

  #receive(top: Cursor): void {
    this.#received = top
    if (this.#isDue) return
    this.#isDue = true
    // The messages of one turn of the event loop are one batch.
    nextTurn(() => this.#flush())
  }

  #flush(): void {
    this.#isDue = false
    const batch = this.#pending
    if (this.#received === this.#handedOver || this.#isClosed) return
    this.#pending = []
    this.#handedOver = this.#received
    this.#listener.events(batch, this.#received)
  }

  #foreign(epoch: string, channel: string, text: string): void {
    if (this.#ignored.has(epoch)) return
    this.#suspected = epoch
    this.hold()
    this.#hold(channel, text)
    this.#onForeign()
  }

  #hold(channel: string, text: string): void {
    this.#heldLength += text.length
    if (this.#held.length < MAX_HELD && this.#heldLength <= MAX_HELD_LENGTH) this.#held.push([channel, text])
    else {
      this.#drop()
      this.#overflowed = true
    }
  }

  #drop(): void {
    this.#held = []
    this.#heldLength = 0
  }

  #ignore(epoch: string): void {
    this.#ignored.add(epoch)
    if (this.#ignored.size > MAX_IGNORED) this.#ignored.delete(this.#ignored.values().next().value!)
  }
}
