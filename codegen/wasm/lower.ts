/** The way of a kernel from a schedule to the WASM emitter. */
import { hoist } from '../kernel/hoist.js';
import type { Kernel } from '../kernel/ir.js';
import { legalizeFor } from '../kernel/legalize.js';
import { promotePrivate, unrollLoops } from '../kernel/unroll.js';

/** Expands what WASM has no instruction for, unrolls, keeps small private arrays in locals, and moves and shares what the emitter cannot: loads and values that depend on them. */
export const lowerForWasm = (kernel: Kernel): Kernel => hoist(promotePrivate(unrollLoops(legalizeFor(kernel, 'wasm'))));
