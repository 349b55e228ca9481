import { parentPort, workerData } from 'node:worker_threads'
import { loadDriver } from '../log/driver.ts'
import { answer, serviceOf } from './service.ts'

// A separate thread, because SQLite waits for the disk. It runs a service of `service.ts`.
const service = serviceOf(workerData, loadDriver)
const port = parentPort!
port.on('message', async (message) => {
  port.postMessage(await answer(service, message))
  // A thread without an open port ends.
  if (message.request.do === 'close') port.close()
})
