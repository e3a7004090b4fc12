/** From a scheduled kernel to one that a printer can emit: unrolling, registers for small arrays, vectors, the target's missing functions, invariant motion. */
import { hoist } from './kernel/hoist.js';
import type { Kernel } from './kernel/ir.js';
import { legalizeFor } from './kernel/legalize.js';
import { promotePrivate, unrollLoops } from './kernel/unroll.js';
import { vectorizeLoops } from './kernel/vectorize.js';
import type { TargetInfo } from './target.js';

export function finishKernel(kernel: Kernel, target: TargetInfo): Kernel {
  const unrolled = promotePrivate(unrollLoops(kernel));
  // The WGSL printer legalizes and hoists itself, after it has chosen vec4 views: named indices would hide their alignment.
  return target.kind === 'webgpu' ? unrolled : hoist(legalizeFor(vectorizeLoops(unrolled), 'wasm'));
}
