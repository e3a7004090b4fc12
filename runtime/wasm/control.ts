/** The control block that threads and the module's driver share; byte offsets as in codegen/wasm/module.ts. */
export const controlAddress = 1024;
export const control = {
  ticket: 0,
  module: 24,
  leave: 28,
  failed: 32,
  done: 64,
  joining: 68,
  sleepers: 128,
  spins: 192,
  spinOnly: 196,
  letSleep: 200,
  threads: 204,
} as const;
/** The most chunks that a kernel is cut in for threads to take. */
export const mostChunks = 32;
/** The most phases of a kernel that threads share. */
export const mostPhases = 65536;
/** Loads before a thread goes to sleep: longer spins cost much when other programs want the core. */
export const spins = 1000;
