// Runs `worker.ts` from this repository; the package does not contain this file. Node 20 does not load TypeScript on
// its own, and a loader of the main thread does not apply to other threads.
if (!process.features.typescript) {
  const { register } = await import('tsx/esm/api')
  register()
}
await import('./worker.ts')
