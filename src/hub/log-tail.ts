import { isLoss, type Loss, type Page, type PageLimit, type Selector } from '../broker/broker.ts'
import type { StoredEvent } from '../broker/stored-event.ts'
import type { Cursor } from '../protocol/cursor.ts'

/** A loss in the tail. It is ahead of every position before `before`, the event that it precedes. */
interface PlacedLoss extends Loss {
  readonly before: number
}

type Item = StoredEvent | PlacedLoss

const MAX_EVENTS = 10_000
const MAX_BYTES = 16 * 1024 * 1024

/**
 * The newest events that the broker has handed over, independent of retention, and the position of the last one: 10,000
 * events or 16 MiB. A subscriber that is only a little behind is served from here, synchronously and with the same
 * frames as all others. The tail lacks events from before a selector was subscribed, and it reports no losses of the
 * history. So it may serve a selector only from a position at which a read reached the end of the log.
 */
export class LogTail {
  /** In the order of the log; the first `#head` places are free. */
  #items: Item[] = []
  #head = 0
  #bytes = 0
  /** The tail has every event after this `seq`. */
  #floor = 0
  #top: Cursor = { epoch: '', seq: 0 }

  /** The position that the broker has handed over: the position of every live subscription. */
  get top(): Cursor {
    return this.#top
  }

  /** Adds a batch that was handed over, and moves the top. A new epoch drops the events of the earlier one. */
  append(batch: readonly (StoredEvent | Loss)[], top: Cursor): void {
    if (top.epoch !== this.#top.epoch) this.reset({ epoch: top.epoch, seq: this.#top.seq })
    this.#top = top
    for (const [i, item] of batch.entries()) {
      if (isLoss(item)) {
        this.#items.push({ ...item, before: nextSeq(batch, i) ?? top.seq })
      } else {
        this.#items.push(item)
        this.#bytes += item.bytes
      }
    }
    while (this.#items.length - this.#head > MAX_EVENTS || this.#bytes > MAX_BYTES) this.#drop()
    // Moving the rest only when half of the array is free keeps the average cost per event constant.
    if (this.#head > 1_000 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
  }

  /** Drops all events: the tail starts again at `top`. */
  reset(top: Cursor): void {
    this.#items = []
    this.#head = 0
    this.#bytes = 0
    this.#floor = top.seq
    this.#top = top
  }

  /**
   * The page after `after`, up to the top if it is the last one; undefined if the tail does not reach back that far.
   */
  read(after: Cursor, selector: Selector, limit: PageLimit): Page | undefined {
    const { epoch } = this.#top
    if (after.epoch !== epoch || after.seq < this.#floor) return undefined
    const items: (StoredEvent | Loss)[] = []
    let bytes = 0
    let losses = 0
    let upto = after.seq
    for (let i = this.#firstAfter(after.seq); i < this.#items.length; i++) {
      const item = this.#items[i]!
      if (isLoss(item)) {
        const channels = item.channels.filter((channel) => selector.matches(channel))
        if (channels.length === 0) continue
        // A page ends before an event, never between a loss and the event after it.
        items.push({ channels, seq: Math.max(item.seq, upto) })
        losses++
        continue
      }
      if (!selector.matches(item.channel)) continue
      bytes += item.bytes
      const events = items.length - losses
      if (events > 0 && (events >= limit.events || bytes > limit.bytes)) {
        while (isLoss(items.at(-1)!)) items.pop()
        return { status: 'ok', from: after, items, upto: { epoch, seq: upto }, end: false }
      }
      items.push(item)
      upto = item.seq
    }
    return { status: 'ok', from: after, items, upto: this.#top, end: true }
  }

  #drop(): void {
    const oldest = this.#items[this.#head]!
    if (!isLoss(oldest)) this.#bytes -= oldest.bytes
    this.#floor = placeOf(oldest)
    this.#items[this.#head++] = undefined!
  }

  /** The index of the first item after `seq`. */
  #firstAfter(seq: number): number {
    let low = this.#head
    let high = this.#items.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (placeOf(this.#items[middle]!) > seq) high = middle
      else low = middle + 1
    }
    return low
  }
}

function placeOf(item: Item): number {
  return isLoss(item) ? item.before : item.seq
}

/** The `seq` of the event after the loss at `index`. */
function nextSeq(batch: readonly (StoredEvent | Loss)[], index: number): number | undefined {
  for (let i = index + 1; i < batch.length; i++) {
    const item = batch[i]!
    if (!isLoss(item)) return item.seq
  }
  return undefined
}
