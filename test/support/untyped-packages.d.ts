// Packages that tests use and that have no types.
declare module 'express-4' {
  // With the types of 5: the parts that the tests use are the same in both.
  import express from 'express'
  export default express
}
declare module 'compression' {
  import type { RequestHandler } from 'express'
  export default function compression(options?: { threshold?: number; filter?: () => boolean }): RequestHandler
}
declare module 'cors' {
  import type { RequestHandler } from 'express'
  export default function cors(options?: {
    origin?: boolean | string | readonly string[]
    credentials?: boolean
    allowedHeaders?: readonly string[]
  }): RequestHandler
}
declare module 'express-session' {
  import type { RequestHandler } from 'express'

  const session: {
    (options: { secret: string; resave: boolean; saveUninitialized: boolean; store?: object }): RequestHandler
    MemoryStore: new () => object
  }
  export default session
}
declare module 'morgan' {
  import type { RequestHandler } from 'express'
  export default function morgan(
    format: string,
    options?: { immediate?: boolean; stream?: { write(line: string): unknown } },
  ): RequestHandler
}
declare module 'http2-express' {
  import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
  import type express from 'express'

  type Listener = (req: Http2ServerRequest, res: Http2ServerResponse) => void
  export default function http2Express(of: typeof express): express.Express & Listener
}
