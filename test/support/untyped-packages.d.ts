// Packages that tests use and that bring no types of their own.
declare module 'express-4' {
  import express from 'types-express-4'
  export default express
}
declare module 'compression' {
  import type { RequestHandler } from 'express'
  export default function compression(options?: { threshold?: number }): RequestHandler
}
declare module 'cors' {
  import type { RequestHandler } from 'express'
  export default function cors(options?: { origin?: string; credentials?: boolean }): RequestHandler
}
declare module 'express-session' {
  import type { RequestHandler } from 'express'
  export default function session(options: {
    secret: string
    resave: boolean
    saveUninitialized: boolean
  }): RequestHandler
}
declare module 'morgan' {
  import type { RequestHandler } from 'express'
  export default function morgan(format: string, options: { stream: { write(line: string): void } }): RequestHandler
}
