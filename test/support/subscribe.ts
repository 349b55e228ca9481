import type { Hub } from '../../src/hub/hub.ts'
import type { SubscribeRequest } from '../../src/hub/subscribe-request.ts'
import type { Subscriber } from '../../src/hub/subscriber.ts'
import type { Subscription } from '../../src/hub/subscription.ts'

/** Subscribes a stream to names and patterns, with the defaults of `hub.subscribe()`. */
export function subscribe(
  hub: Hub,
  stream: Subscriber,
  names: string | readonly string[],
  request: Partial<SubscribeRequest> = {},
): Promise<Subscription> {
  const defaults = { form: 'plain', info: undefined, after: stream.lastEventId, rewind: 0 } as const
  return hub.subscribe(stream, { ...defaults, names: [names].flat(), ...request })
}
