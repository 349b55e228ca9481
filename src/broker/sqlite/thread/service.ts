import { isSseError } from '../../../errors.ts'
import { resolveHistoryOptions } from '../../retention.ts'
import { backup } from '../log/backup.ts'
import type { Connection, Driver } from '../log/driver.ts'
import { unavailable } from '../log/failure.ts'
import { realFile } from '../log/file-in-place.ts'
import { lock } from '../log/lock.ts'
import { LogReader } from '../log/reader.ts'
import { openForReading } from '../log/schema.ts'
import { LogWriter } from '../log/writer.ts'
import type { Answer, Opened, ReaderRequest, ThreadData, WriterRequest } from './protocol.ts'

/** Answers requests, one at a time: the next request is sent after the answer, or after `open`. */
export type Service = (request: never) => unknown

/** The service of a thread of this role. */
export function serviceOf(data: ThreadData, loadDriver: () => Promise<Driver>): Service {
  return data.role === 'writer' ? writerService(data, loadDriver) : readerService(data, loadDriver)
}

/** Answers a request, both as messages. */
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
  let fileLock: Connection | undefined
  let writer: LogWriter | undefined
  return async (request) => {
    switch (request.do) {
      case 'open': {
        const driver = await loadDriver()
        const file = realFile(data.file)
        fileLock = lockFile(driver, file)
        try {
          const history = resolveHistoryOptions(data.history)
          writer = new LogWriter({ driver, file, durability, history, epoch: request.epoch }, request.wallTime)
        } catch (error) {
          fileLock.close()
          throw unavailable(error)
        }
        const { seq, time, exceptions } = writer
        return { endBefore: seq, sweepAgain: true, time, exceptions } satisfies Opened
      }
      case 'append':
        return writer!.append(request.batch, request.time, request.sweep)
      case 'rememberEpoch':
        return writer!.rememberEpoch(request.time)
      case 'sweep':
        return writer!.sweep(request.time)
      case 'close':
        writer?.close()
        return fileLock?.close()
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
