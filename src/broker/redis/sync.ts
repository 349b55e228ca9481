import type { Cursor } from '../../protocol/cursor.ts'
import type { Selector } from '../broker.ts'
import { isLoss } from '../broker.ts'
import type { StoredEvent } from '../stored-event.ts'
import type { Missed } from './feed.ts'
import type { LogReader } from './reader.ts'
import type { Session } from './session.ts'

/** More events are not handed over at once: each subscription reads them itself. */
const MAX_EVENTS = 10_000
const MAX_BYTES = 16_777_216
const PAGE = { events: 2_000, bytes: 4_194_304 }

/** The events that a node missed on its channels. */
export async function readMissed(
  session: Session,
  reader: LogReader,
  after: Cursor,
  selector: Selector,
): Promise<Missed> {
  const items: StoredEvent[] = []
  let bytes = 0
  for (let from = after; ; ) {
    const page = await reader.read(from, selector, PAGE, true)
    if (page === undefined || page.status !== 'ok' || page.items.some(isLoss)) break
    for (const item of page.items as StoredEvent[]) {
      items.push(item)
      bytes += item.bytes
    }
    if (items.length > MAX_EVENTS || bytes > MAX_BYTES) break
    if (page.end) return { top: page.upto, items: from.epoch === page.upto.epoch || from === after ? items : undefined }
    if (from !== after && from.epoch !== page.upto.epoch) break
    from = page.upto
  }
  // The log may have fewer events of this epoch than the node has received: then this starts a new epoch.
  await session.probe()
  return { top: await reader.end(), items: undefined }
}
