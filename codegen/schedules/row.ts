/**
 * row: reductions over the same axes of one domain, with what produces and consumes them. The reductions of one level (none depends on another) are computed in one
 * pass over the row; each later level, and each output over the whole domain that needs a finished reduction, takes another pass over the same row.
 *
 * Forms. rows: the last axis is reduced; a row is walked by one thread (WASM with four partial results; WebGPU for short rows: row in registers) or by a
 * workgroup that meets in workgroup memory (row in workgroup). columns: the last axis is kept; neighbouring columns are reduced side by side. Long reductions take two steps
 * (split-reduce.ts).
 */
import type { Region } from '../../passes/regions.js';
import { Frame, type LowerContext, type LoweredKernel } from '../lower/frame.js';
import { columnsOnGpu, columnsOnWasm } from './row-columns.js';
import { maxOf, planRow } from './row-plan.js';
import { rowsOnGpu, rowsOnWasm } from './row-whole.js';

export function lowerRow(region: Region, ctx: LowerContext): LoweredKernel {
  const f = new Frame(region, ctx);
  const p = planRow(f);
  const last = p.domain.length - 1;
  const columns = !p.reduced.includes(last) && p.levels.length === 1 && p.full.slice(1).every((x) => x.length === 0) && maxOf(p.domain[last]!.extent) > 1;
  if (columns) return ctx.target.kind === 'wasm' ? columnsOnWasm(f, p) : columnsOnGpu(f, p);
  return ctx.target.kind === 'wasm' ? rowsOnWasm(f, p) : rowsOnGpu(f, p);
}
