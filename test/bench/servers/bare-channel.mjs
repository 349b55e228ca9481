const HISTORY = 1_000
const HEAD = { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' }

/**
 * A loop over sockets, with nothing around it: an event is one ready HTTP/1.1 chunk that goes to every socket. There are
 * no checks and no caps. With `joined`, the chunks of one turn of the loop become one write.
 */
export class BareChannel {
  #sockets = []
  #ring = new Array(HISTORY)
  #last = 0
  #pending = []
  #joined

  constructor(joined) {
    this.#joined = joined
  }

  subscribe(req, res) {
    res.writeHead(200, HEAD)
    res.flushHeaders()
    const socket = res.socket
    const seen = req.headers['last-event-id']
    // What waits for the end of the turn comes by then.
    if (seen !== undefined) this.#replay(socket, Number(seen), this.#last - this.#pending.length)
    socket.place = this.#sockets.push(socket) - 1
    res.on('close', () => this.#leave(socket))
  }

  publish(text) {
    const id = ++this.#last
    const event = `id: ${id}\ndata: ${text}\n\n`
    const chunk = Buffer.from(`${Buffer.byteLength(event).toString(16)}\r\n${event}\r\n`)
    this.#ring[id % HISTORY] = chunk
    if (!this.#joined) return this.#write(chunk)
    if (this.#pending.push(chunk) === 1) setImmediate(() => this.#flush())
  }

  #flush() {
    const chunks = this.#pending
    this.#pending = []
    this.#write(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))
  }

  #write(bytes) {
    const sockets = this.#sockets
    for (let i = 0; i < sockets.length; i++) sockets[i].write(bytes)
  }

  #replay(socket, seen, last) {
    const missed = []
    for (let id = Math.max(seen, last - HISTORY) + 1; id <= last; id++) missed.push(this.#ring[id % HISTORY])
    if (missed.length > 0) socket.write(Buffer.concat(missed))
  }

  #leave(socket) {
    const last = this.#sockets.pop()
    if (last === socket) return
    last.place = socket.place
    this.#sockets[socket.place] = last
  }
}

/** A `BareChannel` for every name. */
export function bareChannels(joined) {
  const channels = new Map()
  return (name) => {
    if (!channels.has(name)) channels.set(name, new BareChannel(joined))
    return channels.get(name)
  }
}
