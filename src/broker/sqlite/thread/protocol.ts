import type { SseErrorCode } from '../../../errors.ts'
import type { PageLimit } from '../../broker.ts'
import type { HistoryOptions } from '../../retention.ts'
import type { Batch, Exceptions, LogState } from '../log/batch.ts'
import type { Names } from '../log/page-rows.ts'
import type { Durability } from '../log/schema.ts'

/** The data that a thread is started with. */
export interface ThreadData {
  readonly role: 'writer' | 'reader'
  readonly file: string
  readonly history: HistoryOptions | undefined
  readonly durability: Durability
}

/** A request to the writer. `time` is that of the log, which never goes back. */
export type WriterRequest =
  | { readonly do: 'open'; readonly epoch: string; readonly wallTime: number }
  | { readonly do: 'append'; readonly batch: Batch; readonly time: number; readonly sweep: boolean }
  /** Makes the log remember the current epoch: a position of it is about to be given out. */
  | { readonly do: 'rememberEpoch'; readonly time: number }
  /** Deletes some expired events. */
  | { readonly do: 'sweep'; readonly time: number }
  | { readonly do: 'close' }

/** A request to the reader. */
export type ReaderRequest =
  | { readonly do: 'open' }
  | {
      readonly do: 'read'
      readonly epoch: string
      readonly after: { readonly epoch: string; readonly seq: number } | undefined
      readonly selector: Names
      readonly max: PageLimit
      readonly time: number
    }
  | {
      readonly do: 'latest'
      readonly count: number
      readonly selector: Names
      readonly max: PageLimit
      readonly time: number
    }
  | { readonly do: 'backup'; readonly to: string }
  | { readonly do: 'close' }

/** The answer of the writer to `open`. */
export interface Opened extends LogState {
  /** The time of the log continues from here. */
  readonly time: number
  readonly exceptions: Exceptions | undefined
}

/** An answer, or the error. */
export type Answer =
  | { readonly id: number; readonly value: unknown }
  | {
      readonly id: number
      readonly error: { readonly code: SseErrorCode; readonly detail: string; readonly cause: string }
    }
