import { parentPort, workerData } from 'node:worker_threads'
import { loadDriver } from './driver.ts'
import { answer, serviceOf } from './service.ts'

// A thread of its own: SQLite waits for the disk. What it does is in `service.ts`.
const service = serviceOf(workerData, loadDriver)
const port = parentPort!
port.on('message', async (message) => {
  port.postMessage(await answer(service, message))
  // With nothing to listen to the thread ends.
  if (message.request.do === 'close') port.close()
})
