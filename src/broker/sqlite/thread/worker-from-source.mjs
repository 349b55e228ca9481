// Runs `worker.ts` from this repository; no part of the package. Node 20 does not load TypeScript by itself, and a loader
// of the main thread does not reach another one.
if (!process.features.typescript) {
  const { register } = await import('tsx/esm/api')
  register()
}
await import('./worker.ts')
