import { isSseError } from '../errors.ts'
import type { Hub } from '../hub/hub.ts'
import type { SubscribeRequest } from '../hub/subscribe-request.ts'
import type { Subscription } from '../hub/subscription.ts'
import { FINISHED_ID } from '../protocol/hub-events.ts'
import type { ResponseStream } from '../stream/response-stream.ts'
import { addressOf } from './address.ts'
import { isOverload, sendOverload, sendProblem } from './problem.ts'

/**
 * Subscribes the stream of a request to the channels that `select` returns, and answers a refusal; the subscription is
 * then closed. Rejects with an error that is not a refusal, and with a refusal that can no longer be answered.
 */
export async function serveSubscription(
  hub: Hub,
  stream: ResponseStream,
  select: () => readonly string[],
  request: Omit<SubscribeRequest, 'names' | 'address'>,
): Promise<Subscription> {
  // Present until a stream is open. After that, a request can no longer be answered.
  const res = stream.response
  const req = res?.req
  try {
    const names = select()
    hub.assertSelection(names)
    // A stream that has released its request counts for its peer, which may be a proxy.
    const address = hub.options.maxStreamsPerAddress > 0 ? addressOf(req ?? { socket: stream }) : undefined
    // Here the head, or 204, is the whole answer, without a subscription.
    if (stream.lastEventId === FINISHED_ID) {
      if (stream.state === 'idle') stream.commit()
    } else if (req?.method === 'HEAD' && stream.state === 'idle') {
      hub.assertOpen()
      hub.assertRoom(address)
      stream.commit()
    }
    if (stream.state === 'closed') return hub.closedSubscription(request.info)
    return await hub.subscribe(stream, { ...request, names, address })
  } catch (error) {
    if (!isSseError(error) || error.status === 500) throw error
    if (res === undefined || stream.state !== 'idle' || res.headersSent) throw error
    if (error.code === 'ERR_SSE_BROKER_UNAVAILABLE') hub.failed(error)
    hub.emit('refused', { req: res.req, code: error.code, status: error.status })
    if (isOverload(error)) sendOverload(res, hub.refusalRetryMs(stream), error)
    else sendProblem(res, error)
    return hub.closedSubscription(request.info)
  }
}

/**
 * `?snapshot=1` or `?snapshot=0`. A `Last-Event-ID` header voids the first: an EventSource keeps its URL, and its ID says
 * that it has received the snapshots.
 */
export function requestedSnapshot(stream: ResponseStream): boolean | undefined {
  const value = stream.query('snapshot')
  if (value === '0') return false
  return value === '1' && stream.response?.req.headers['last-event-id'] === undefined ? true : undefined
}
