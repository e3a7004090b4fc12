/** The compiler as others use it: from graphs to a plan. */
export { type CompileOptions, compile } from './compile.js';
export { type TargetInfo, wasmTarget, webgpuTarget } from './target.js';
