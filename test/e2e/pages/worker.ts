import type { ListenOptions } from '../told.ts'
import { listen } from './listen.ts'

// The same in a worker, which reports the events to the page.

self.onmessage = ({ data }: MessageEvent<ListenOptions>) => {
  listen(data, (told) => postMessage(told))
}
