import type { Clock } from '../clock.ts'
import type { Sink } from './sink.ts'

/** The time that a peer has to take the rest of an ended stream, before the connection is cut. */
const LINGER_MS = 5_000

/** Ends the body after the waiting bytes. `closeConnection`: also ends the connection. */
export function endBody(sink: Sink, closeConnection: boolean, clock: Clock): void {
  try {
    sink.end(closeConnection)
  } catch {
    // A wrapped end() has thrown.
    sink.destroy()
  }
  linger(sink, clock)
}

/** Ends the connection after the waiting bytes, with the body unfinished: no client takes it for complete. */
export function cutBody(sink: Sink, clock: Clock): void {
  sink.cut()
  linger(sink, clock)
}

/** A peer with a closed window never sees the end: it is cut if it has not taken the rest in time. */
function linger(sink: Sink, clock: Clock): void {
  if (sink.bufferedBytes === 0) return
  const timer = clock.setTimeout(() => sink.destroy(), LINGER_MS)
  sink.onClose(() => clock.clearTimeout(timer))
}
