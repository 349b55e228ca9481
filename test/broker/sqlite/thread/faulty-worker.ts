import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { parentPort, workerData } from 'node:worker_threads'
import { answer, serviceOf } from '../../../../src/broker/sqlite/thread/service.ts'
import { type Fault, faultyDriver, type Moment, type Plan } from '../log/faulty-driver.ts'

/** The plan of faults of a thread is in a file beside the log, which a test writes. */
class FilePlan implements Plan {
  readonly #file = `${workerData.file}-${workerData.role}-faults`

  strike(at: Moment): Fault | undefined {
    const { faults, ...rest } = this.#read()
    const fault = faults.find((fault) => fault.at === at)
    if (fault === undefined) return undefined
    const { times = 1 } = fault
    const left = faults.flatMap((one) => (one !== fault ? [one] : times > 1 ? [{ ...one, times: times - 1 }] : []))
    writeFileSync(this.#file, JSON.stringify({ ...rest, faults: left }))
    return fault
  }

  maxPages(): number | undefined {
    return this.#read().maxPages
  }

  #read(): { faults: Fault[]; maxPages?: number } {
    if (!existsSync(this.#file)) return { faults: [] }
    return JSON.parse(readFileSync(this.#file, 'utf8'))
  }
}

const service = serviceOf(workerData, () => faultyDriver(new FilePlan()))
const port = parentPort!
port.on('message', async (message) => {
  port.postMessage(await answer(service, message))
  if (message.request.do === 'close') port.close()
})
