import { parentPort, workerData } from 'node:worker_threads'
import { loadDriver } from '../log/driver.ts'
import { answer, serviceOf } from './service.ts'

// A thread of its own, because SQLite waits for the disk. It runs a service of `service.ts`.
const service = serviceOf(workerData, loadDriver)
const port = parentPort!
port.on('message', async (message) => {
  port.postMessage(await answer(service, message))
  // A thread with no port to listen to ends.
  if (message.request.do === 'close') port.close()
})
