import { encodeId } from './encode.ts'

/**
 * The types of the events that a hub itself sends, after `hub.`. Each has data, because some clients ignore the id of a
 * block without data.
 */
export type HubEventType = 'open' | 'gap' | 'list' | 'snapshot' | 'position' | 'closed' | 'finished'

/** The last event ID of a client that has received `hub.finished`: the stream is complete. */
export const FINISHED_ID = 'hub.finished'

/** The block of one event of the hub. Pages that do not listen for its type never notice it. */
export function encodeHubEvent(type: HubEventType, id: string | undefined, data: unknown): string {
  return `event: hub.${type}\n${id === undefined ? '' : encodeId(id)}data: ${JSON.stringify(data)}\n\n`
}
