import type { Loss, Page } from '../../broker.ts'

/** A selector in the form for the reading thread. */
export interface Names {
  readonly channels: readonly string[]
  readonly patterns: readonly string[]
}

/** A page in the form from that thread. */
export interface PageRows {
  readonly status: Page['status']
  readonly from: number
  readonly items: readonly (EventRow | Loss)[]
  readonly upto: number
  readonly end: boolean
}

/** A kept event. */
export interface EventRow {
  readonly seq: number
  readonly prev: number
  readonly channel: string
  readonly json: boolean
  readonly type: string | null
  readonly key: string | null
  readonly data: string
}
