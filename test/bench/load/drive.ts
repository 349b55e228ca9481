import { setTimeout as sleep } from 'node:timers/promises'
import type { Crowd } from './crowd.ts'
import type { Source } from './source.ts'

export interface Limit {
  readonly ms: number
  readonly events?: number
}

/** What came of it. */
export interface Outcome {
  readonly published: number
  readonly deliveries: number
  readonly refused: number
  /** The run stalled with events in flight. */
  readonly stalled: boolean
}

/** Without a delivery for this long, events in flight count as lost. */
const STALLED_MS = 8_000
/** Time for what should not come: duplicates. */
const AFTER_MS = 50

/** Lets a source publish until the limit is reached, then waits until every subscriber has every event. */
export async function drive(crowd: Crowd, source: Source, limit: Limit): Promise<Outcome> {
  const { board } = crowd
  const [from, before, refused] = [crowd.next, board.delivered, source.refused]
  const end = performance.now() + limit.ms
  const last = from + (limit.events ?? Number.POSITIVE_INFINITY)
  const isOver = () => crowd.next >= last || performance.now() >= end
  const finished = await moving(crowd, source, () => {
    while (!isOver() && source.publish());
    return isOver() && board.underWay === 0 && source.idle
  })
  return {
    published: crowd.next - from,
    deliveries: board.delivered - before,
    refused: source.refused - refused,
    stalled: !finished,
  }
}

/** Whether every subscriber received every announced event. */
export async function delivered(crowd: Crowd): Promise<boolean> {
  return moving(crowd, { moved: () => {} }, () => crowd.board.underWay === 0)
}

/** Calls `pump` after each change until it returns true; returns false if the run stalls. */
async function moving(crowd: Crowd, source: Pick<Source, 'moved'>, pump: () => boolean): Promise<boolean> {
  const { board } = crowd
  let [seen, seenAt] = [-1, 0]
  return new Promise((resolve) => {
    let spinning = crowd.awake
    const spin = () => {
      if (spinning) setImmediate(spin)
    }
    const finish = (good: boolean) => {
      spinning = false
      clearInterval(watch)
      board.onComplete(() => {})
      source.moved = () => {}
      resolve(good)
    }
    const move = () => {
      if (pump()) finish(true)
    }
    const watch = setInterval(() => {
      if (board.delivered !== seen) [seen, seenAt] = [board.delivered, performance.now()]
      else if (performance.now() - seenAt > STALLED_MS) finish(false)
    }, 500)
    board.onComplete(move)
    source.moved = move
    spin()
    move()
  })
}

/** Ends a stretch: events that have not arrived are lost. */
export async function settle(crowd: Crowd): Promise<void> {
  await sleep(AFTER_MS)
  crowd.settle()
}
