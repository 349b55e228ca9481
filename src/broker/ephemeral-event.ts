import { encodeEnvelope, encodeFields } from '../protocol/encode.ts'
import { Frame, type FrameForm } from '../protocol/frame.ts'
import type { NewEvent } from './stored-event.ts'

/**
 * An event of an ephemeral channel, as a broker hands it over. It has no place in the log: no ID, and no position moves
 * with it. Only subscriptions that are live at this moment receive it.
 */
export class EphemeralEvent {
  /** Tells it from a stored event. */
  readonly ephemeral = true
  readonly channel: string
  readonly event: string | undefined
  readonly data: string
  readonly json: boolean
  readonly fields: string
  /** Encoded when it is first needed, once for all subscriptions. */
  #plain: Frame | undefined
  #envelope: Frame | undefined

  constructor({ channel, event, data, json, fields }: NewEvent) {
    this.channel = channel
    this.event = event
    this.data = data
    this.json = json
    this.fields = fields
  }

  /** Its encoded block without an `id` line, as it was published or wrapped with the name of its channel. */
  frame(form: FrameForm): Frame {
    if (form === 'plain') {
      this.#plain ??= Frame.of(this.fields)
      return this.#plain
    }
    const { channel, event, data, json } = this
    this.#envelope ??= Frame.of(encodeFields(undefined, encodeEnvelope(channel, event, data, json)))
    return this.#envelope
  }
}
