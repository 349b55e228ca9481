// Packages of these tests that come without types.

declare module 'express-4' {
  import express from 'express'
  export default express
}

declare module 'compression' {
  import type { RequestHandler } from 'express'
  export default function compression(options?: object): RequestHandler
}

declare module 'cors' {
  import type { RequestHandler } from 'express'
  export default function cors(options?: object): RequestHandler
}

declare module 'express-session' {
  import type { RequestHandler } from 'express'
  export default function session(options: object): RequestHandler
}

declare module 'morgan' {
  import type { RequestHandler } from 'express'
  export default function morgan(format: string, options?: object): RequestHandler
}
