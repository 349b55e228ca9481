import { formatCursor } from '../protocol/cursor.ts'
import { encodeEnvelope, encodeFields, encodeId } from '../protocol/encode.ts'
import { Frame, type FrameForm } from '../protocol/frame.ts'

/** A checked and encoded event that is to be appended. */
export interface NewEvent {
  readonly channel: string
  readonly event: string | undefined
  /** The text of its data. */
  readonly data: string
  /** Whether that text is JSON. */
  readonly json: boolean
  readonly conflationKey: string | undefined
  /** Scoped to the channel; kept 10 minutes or for the last 100,000 keys, whichever is shorter. */
  readonly idempotencyKey: string | undefined
  /** Identifies the whole batch, for an event of a batch under one key. It belongs to the payload of the key. */
  readonly batch?: string | undefined
  /** Whether the broker has said that its channel is ephemeral. It has no idempotency key then. */
  readonly ephemeral?: boolean | undefined
  /** The encoded block without its `id` line. */
  readonly fields: string
  /** The length of `fields` in bytes of UTF-8, which limits and retention count. */
  readonly bytes: number
}

/** The memory that V8 and Node need for an event without text, measured on Node 20 to 24. */
const OBJECT_BYTES = 540

/**
 * The memory that V8 needs for a text: two bytes a character if one of them is above U+00FF. `bytes`: its length, or a
 * bound.
 */
function textBytes(text: string, bytes: number): number {
  return text.length === bytes || !/[^\x00-\xff]/.test(text) ? text.length : 2 * text.length
}

/**
 * An event with its place in the log. All readers and history share one object: a frame is encoded when it is first
 * needed, and its bytes are shared from then on.
 */
export class StoredEvent implements Omit<NewEvent, 'ephemeral'> {
  readonly channel: string
  readonly event: string | undefined
  readonly data: string
  readonly json: boolean
  readonly conflationKey: string | undefined
  readonly idempotencyKey: string | undefined
  readonly fields: string
  readonly bytes: number
  /** The life of the log in which it was appended. */
  readonly epoch: string
  /** Its place in the log: unique and ascending over all channels, possibly with gaps in the numbers. */
  readonly seq: number
  /** The `seq` of the previous event *of its channel*. If none is known: that of the last forgotten channel, or 0. */
  readonly prev: number
  /** Made for the fan-out and kept: a replay sends the same bytes. */
  #plain: Frame | undefined
  /** Only while a batch or a page is written: it may be six times as large as the text. */
  #envelope: Frame | undefined

  constructor(event: NewEvent, epoch: string, seq: number, prev: number) {
    // Field by field: a spread takes several times as long, and this happens for every event.
    this.channel = event.channel
    this.event = event.event
    this.data = event.data
    this.json = event.json
    this.conflationKey = event.conflationKey
    this.idempotencyKey = event.idempotencyKey
    this.fields = event.fields
    this.bytes = event.bytes
    this.epoch = epoch
    this.seq = seq
    this.prev = prev
  }

  /** Its event ID. */
  get id(): string {
    return formatCursor(this)
  }

  /**
   * About the number of bytes of memory that it takes while it is kept: its own object, its text twice, and its frame.
   */
  get heldBytes(): number {
    return OBJECT_BYTES + textBytes(this.data, this.bytes) + textBytes(this.fields, this.bytes) + this.bytes
  }

  /** Called after a batch or a page was written: drops the frame that no other page needs. */
  release(): void {
    this.#envelope = undefined
  }

  /** Its encoded block with the `id` line, as it was published or wrapped with the name of its channel. */
  frame(form: FrameForm): Frame {
    if (form === 'plain') {
      this.#plain ??= Frame.of(encodeId(this.id) + this.fields)
      return this.#plain
    }
    this.#envelope ??= Frame.of(
      encodeId(this.id) + encodeFields(undefined, encodeEnvelope(this.channel, this.event, this.data, this.json)),
    )
    return this.#envelope
  }
}
