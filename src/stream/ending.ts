import type { Clock } from '../clock.ts'
import type { Sink } from './sink.ts'

/** How long a peer may take over the rest of a stream that was ended, before the connection is cut. */
const LINGER_MS = 5_000

/** Ends the body after what waits. `closeConnection`: and the connection with it. */
export function endBody(sink: Sink, closeConnection: boolean, clock: Clock): void {
  try {
    sink.end(closeConnection)
  } catch {
    // A wrapped end() has thrown.
    sink.destroy()
  }
  linger(sink, clock)
}

/** Ends the connection after what waits, with the body unfinished: no client takes it for complete. */
export function cutBody(sink: Sink, clock: Clock): void {
  sink.cut()
  linger(sink, clock)
}

/** A peer whose window is shut never sees the end: it is cut when it has not taken the rest in time. */
function linger(sink: Sink, clock: Clock): void {
  if (sink.bufferedBytes === 0) return
  const timer = clock.setTimeout(() => sink.destroy(), LINGER_MS)
  sink.onClose(() => clock.clearTimeout(timer))
}
