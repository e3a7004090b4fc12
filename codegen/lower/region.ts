/** From a region to kernels: picks the schedule family by the region's kind. */
import type { Dim } from '../../ir/dim.js';
import type { Region } from '../../passes/regions.js';
import { resetExpressions } from '../kernel/expr.js';
import { lowerContraction } from '../schedules/contraction.js';
import { lowerCumulative } from '../schedules/cumulative.js';
import { lowerLoop } from '../schedules/loop.js';
import { lowerMap } from '../schedules/map.js';
import { lowerRow } from '../schedules/row.js';
import { lowerScatter } from '../schedules/scatter.js';
import { lowerSequence } from '../schedules/sequence.js';
import { splitReduce } from '../schedules/split-reduce.js';
import { lowerWhile } from '../schedules/while.js';
import type { LowerContext, LoweredKernel, Temp } from './frame.js';

export type LoweredStep =
  | { readonly kind: 'kernel'; readonly kernel: LoweredKernel }
  /** Runs the body with `symbol` from 0 up (from count-1 down when reverse). */
  | { readonly kind: 'loop'; readonly symbol: string; readonly count: Dim; readonly reverse: boolean; readonly body: readonly LoweredStep[] };

export interface LoweredRegion {
  readonly steps: readonly LoweredStep[];
  /** Scratch in the arena for the time of the region. */
  readonly temps: readonly Temp[];
}

export function lowerRegion(region: Region, ctx: LowerContext): LoweredRegion {
  resetExpressions();
  const one = (kernel: LoweredKernel): LoweredRegion => ({ steps: [{ kind: 'kernel', kernel }], temps: [] });
  switch (region.kind) {
    case 'map':
      return one(lowerMap(region, ctx));
    case 'row':
      return splitReduce(region, ctx) ?? one(lowerRow(region, ctx));
    case 'contraction':
      return one(lowerContraction(region, ctx));
    case 'scatter':
      return one(lowerScatter(region, ctx));
    case 'cumulative':
      return one(lowerCumulative(region, ctx));
    case 'sequence':
      return one(lowerSequence(region, ctx));
    case 'loop':
      return region.hero?.op === 'while' ? lowerWhile(region, ctx) : lowerLoop(region, ctx, lowerRegion);
  }
}
