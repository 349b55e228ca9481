import type { Faults } from './load/tally.ts'
import type { Figures } from './scenario.ts'

/** One row of one table, over all rounds. */
export interface Row {
  readonly scenario: string
  readonly table: string
  readonly server: string
  /** By column, one value for each round. */
  readonly values: Record<string, number[]>
  readonly foreignCores: number[]
  faults: Faults
  readonly notes: string[]
}

/** Everything that was measured, in the order in which it came first. */
export class Results {
  readonly rows: Row[] = []

  add(scenario: string, server: string, { table, values, faults, foreignCores, note }: Figures): void {
    const row = this.#row(scenario, table, server)
    for (const [key, value] of Object.entries(values)) {
      row.values[key] ??= []
      if (Number.isFinite(value)) row.values[key].push(round(value))
    }
    if (Number.isFinite(foreignCores)) row.foreignCores.push(round(foreignCores))
    if (faults !== undefined) row.faults = sum(row.faults, faults)
    if (note !== undefined && !row.notes.includes(note)) row.notes.push(note)
  }

  #row(scenario: string, table: string, server: string): Row {
    const found = this.rows.find((row) => row.scenario === scenario && row.table === table && row.server === server)
    if (found !== undefined) return found
    const faults = { lost: 0, duplicated: 0, reordered: 0, stray: 0 }
    const row: Row = { scenario, table, server, values: {}, foreignCores: [], faults, notes: [] }
    this.rows.push(row)
    return row
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return Number.NaN
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** Four digits are more than any of this is exact to. */
function round(value: number): number {
  return Number(value.toPrecision(4))
}

function sum(a: Faults, b: Faults): Faults {
  return {
    lost: a.lost + b.lost,
    duplicated: a.duplicated + b.duplicated,
    reordered: a.reordered + b.reordered,
    stray: a.stray + b.stray,
  }
}
