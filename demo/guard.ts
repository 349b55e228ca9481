import type { RequestHandler, Response } from 'express'

/** Answers with a reason, in the form of the hub's own refusals. */
export function refuse(res: Response, status: number, detail: string): void {
  res.status(status).type('application/problem+json').json({ status, detail })
}

/** A page of another site may not make a visitor's browser do what changes something here. */
export const sameSiteOnly: RequestHandler = (req, res, next) => {
  const site = req.get('Sec-Fetch-Site')
  // A client without it is not a browser, or an old one: then the origin decides.
  const own = site === undefined ? originIsOwn(req.get('Origin'), req.get('Host')) : site === 'same-origin'
  if (req.method === 'GET' || req.method === 'HEAD' || own) next()
  else refuse(res, 403, 'Only the page of this demo may do that.')
}

function originIsOwn(origin: string | undefined, host: string | undefined): boolean {
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)
}
