import { createHash } from 'node:crypto'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { RequestHandler } from 'express'

const PAGE = fileURLToPath(new URL('./page/', import.meta.url))

/** Bundles the scripts and styles of the page, in memory, and serves them. */
export async function bundlePage(): Promise<RequestHandler> {
  const { outputFiles } = await build({
    entryPoints: [`${PAGE}page.ts`, `${PAGE}page.css`],
    outdir: PAGE,
    write: false,
    bundle: true,
    minify: true,
    sourcemap: 'linked',
    format: 'esm',
    target: 'es2022',
    logLevel: 'silent',
  })
  const files = new Map(
    outputFiles.map(({ path, text }) => {
      const etag = `"${createHash('sha256').update(text).digest('base64url')}"`
      return [`/${basename(path)}`, { text, etag }]
    }),
  )
  return (req, res, next) => {
    const file = files.get(req.path)
    if (file === undefined || (req.method !== 'GET' && req.method !== 'HEAD')) return next()
    res.set({ 'Cache-Control': 'no-cache', ETag: file.etag }).type(req.path.replace(/^.*\./, '')).send(file.text)
  }
}
