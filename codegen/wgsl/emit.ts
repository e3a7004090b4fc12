/**
 * Prints kernels as WGSL. Before printing, loops marked for it are unrolled, private arrays become variables, aligned 4-lane accesses become accesses of vec4 arrays, and shared
 * and invariant expressions get names. Functions that WGSL lacks, or has with less accuracy than float32 deserves, are printed as helper functions from their expansions.
 */
import { hoist, inlineIndexLets } from '../kernel/hoist.js';
import type { Kernel } from '../kernel/ir.js';
import { legalizeFor } from '../kernel/legalize.js';
import { promotePrivate, unrollLoops } from '../kernel/unroll.js';
import { type WgslLayout, wideViews } from './access.js';
import { ModulePrinter } from './module.js';

export type { WgslLayout } from './access.js';

/** The WGSL module of a kernel; its entry point is `main`. */
export function emitWgsl(kernel: Kernel, layout: WgslLayout): string {
  const flat = legalizeFor(promotePrivate(unrollLoops(kernel)), 'wgsl');
  const views = wideViews({ ...flat, body: inlineIndexLets(flat.body) });
  return new ModulePrinter(hoist(views.kernel, { safeLoads: true, aliases: views.wide }), layout, views.wide).text();
}
