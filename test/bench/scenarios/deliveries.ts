import type { Stretch } from '../load/client.ts'
import { type Figures, format } from '../scenario.ts'

/** The figures of a stretch, with everything about it that should not be. */
export function deliveriesOf(table: string, stretch: Stretch, values: Figures['values']): Figures {
  const { refused, stalled, closed, faults, usage } = stretch
  const notes = [
    refused > 0 && `${format(refused)} answers were no success`,
    closed > 0 && `${format(closed)} subscribers were closed`,
    stalled && 'no more events arrived',
  ].filter((note) => note !== false)
  const note = notes.join('; ')
  return { table, values, faults, foreignCores: usage.foreignCores, ...(note !== '' && { note }) }
}
