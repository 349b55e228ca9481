import { ServerResponse } from 'node:http'
// First of all: it has to see Node's own `write`, so that it sees the difference.
import '../../src/stream/socket-sink.ts'

// A response whose `write` is wrapped takes the plain path. With this as a set-up file every response of a test does.
const { write } = ServerResponse.prototype

ServerResponse.prototype.write = function (this: ServerResponse, ...args: unknown[]) {
  return Reflect.apply(write, this, args)
}
