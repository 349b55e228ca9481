import { IncomingMessage, ServerResponse } from 'node:http'
import { Duplex } from 'node:stream'
import { eventStream } from '../../../dist/index.js'

class Drain extends Duplex {
  _read() {}
  _write(_bytes, _encoding, done) {
    done()
  }
  _writev(_chunks, done) {
    done()
  }
}

/** A stream that goes nowhere: a response whose socket swallows everything. A process may have more of them than files. */
export function stream() {
  const socket = new Drain()
  const req = new IncomingMessage(socket)
  Object.assign(req, { method: 'GET', url: '/', httpVersionMajor: 1, httpVersionMinor: 1, httpVersion: '1.1' })
  req.headers.accept = 'text/event-stream'
  const res = new ServerResponse(req)
  res.assignSocket(socket)
  return eventStream(req, res)
}

/** The subscription of such a stream, once it is live. */
export async function subscribeLive(hub, to, channels, init) {
  const subscription = await hub.subscribe(to, channels, init)
  while (subscription.state !== 'live') await new Promise(setImmediate)
}
