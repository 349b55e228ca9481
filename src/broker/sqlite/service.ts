import { closeSync, fsyncSync, openSync, rmSync } from 'node:fs'
import { isSseError } from '../../errors.ts'
import { resolveHistoryOptions } from '../retention.ts'
import type { Connection, Driver } from './driver.ts'
import { LogProblem, unavailable } from './failure.ts'
import { realFile } from './files.ts'
import { lock } from './lock.ts'
import type { Answer, Opened, ReaderRequest, ThreadData, WriterRequest } from './messages.ts'
import { LogReader } from './reader.ts'
import { openForReading } from './schema.ts'
import { LogWriter } from './writer.ts'

/** Answers requests, one at a time: the next is sent when the answer is there, or after `open`. */
export type Service = (request: never) => unknown

/** What runs in a thread of this role. */
export function serviceOf(data: ThreadData, loadDriver: () => Promise<Driver>): Service {
  return data.role === 'writer' ? writerService(data, loadDriver) : readerService(data, loadDriver)
}

/** A request as a message, and its answer as one. */
export async function answer(service: Service, { id, request }: { id: number; request: unknown }): Promise<Answer> {
  try {
    return { id, value: await service(request as never) }
  } catch (error) {
    const { code, detail, cause } = isSseError(error) ? error : unavailable(error)
    return { id, error: { code, detail, cause: cause instanceof Error ? (cause.stack ?? cause.message) : '' } }
  }
}

function writerService(data: ThreadData, loadDriver: () => Promise<Driver>): (request: WriterRequest) => unknown {
  const { durability } = data
  let held: Connection | undefined
  let writer: LogWriter | undefined
  return async (request) => {
    switch (request.do) {
      case 'open': {
        const driver = await loadDriver()
        const file = realFile(data.file)
        held = lockFile(driver, file)
        try {
          const history = resolveHistoryOptions(data.history)
          writer = new LogWriter({ driver, file, durability, history, epoch: request.epoch }, request.wallTime)
        } catch (error) {
          held.close()
          throw unavailable(error)
        }
        const { seq, time, special } = writer
        return { base: seq, more: true, time, special } satisfies Opened
      }
      case 'append':
        return writer!.append(request.batch, request.time, request.sweep)
      case 'serve':
        return writer!.serve(request.time)
      case 'sweep':
        return writer!.sweep(request.time)
      case 'close':
        writer?.close()
        return held?.close()
    }
  }
}

function lockFile(driver: Driver, file: string): Connection {
  try {
    return lock(driver, file)
  } catch (error) {
    throw unavailable(error)
  }
}

function readerService(data: ThreadData, loadDriver: () => Promise<Driver>): (request: ReaderRequest) => unknown {
  const history = resolveHistoryOptions(data.history)
  let driver: Driver
  /** Undefined after an error: the next request opens another one. */
  let reader: LogReader | undefined
  const open = () => new LogReader(openForReading(driver, data.file), history)
  return async (request) => {
    if (request.do === 'close') return reader?.close()
    try {
      driver ??= await loadDriver()
      if (request.do === 'backup') return backup(driver, data.file, request.to)
      reader ??= open()
      if (request.do === 'open') return undefined
      if (request.do === 'read') {
        return reader.read(request.epoch, request.after, request.selector, request.max, request.time)
      }
      return reader.latest(request.count, request.selector, request.max, request.time)
    } catch (error) {
      reader?.close()
      reader = undefined
      throw unavailable(error)
    }
  }
}

/** A copy of a moment of the log, without its empty pages. Leaves nothing behind when it fails. */
function backup(driver: Driver, file: string, to: string): void {
  try {
    closeSync(openSync(to, 'wx'))
  } catch (error) {
    const isThere = (error as { code?: unknown }).code === 'EEXIST'
    throw new LogProblem(`The backup ${isThere ? 'would replace a file that is there' : 'cannot be written'}.`, {
      cause: error,
    })
  }
  try {
    const db = openForReading(driver, file)
    try {
      // A copy counts as writing. SQLite writes it into a file that is empty.
      db.exec('PRAGMA query_only = OFF')
      db.prepare('VACUUM INTO ?').run(to)
    } finally {
      db.close()
    }
    const copy = openSync(to, 'r+')
    fsyncSync(copy)
    closeSync(copy)
  } catch (error) {
    rmSync(to, { force: true })
    throw error
  }
}
