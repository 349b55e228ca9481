import type { ListenOptions } from '../told.ts'
import { listen } from './listen.ts'

// The same in a worker, which tells the page what it hears.

self.onmessage = ({ data }: MessageEvent<ListenOptions>) => {
  listen(data, (told) => postMessage(told))
}
