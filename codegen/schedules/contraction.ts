/** contraction: dot and conv with prologue and epilogue. On WASM those with few terms are computed directly (window.ts), 3x3 windows and the gradients for their kernels by Winograd's way where it pays (winograd.ts, winograd-gradient.ts); other thin (grouped) ones are computed element by element, the rest are matrix products. */
import { InternalError } from '../../ir/errors.js';
import { isContraction, type Region } from '../../passes/regions.js';
import { Frame, type LowerContext, type LoweredKernel } from '../lower/frame.js';
import { matmulBlocks } from '../schedule-families.js';
import { contractionSpec } from './contraction-spec.js';
import { lowerGemmWasm } from './gemm-wasm.js';
import { lowerGemmWebGpu } from './gemm-webgpu.js';
import { lowerMap } from './map.js';
import { lowerWindow } from './window.js';
import { lowerWinograd } from './winograd.js';
import { lowerWinogradGradient } from './winograd-gradient.js';

export function lowerContraction(region: Region, ctx: LowerContext): LoweredKernel {
  if (!region.hero || !isContraction(region.hero)) throw new InternalError('contraction region without dot or conv');
  const direct = ctx.target.kind === 'wasm' && region.hero.op === 'conv' ? lowerWindow(region, ctx) : null;
  if (direct) return direct;
  const f = new Frame(region, ctx);
  // a schedule that was handed in may ask for the plain product
  const plain = ctx.schedules?.wanted(region, ctx)?.family === matmulBlocks.name;
  const fast = ctx.target.kind === 'wasm' && !plain ? (lowerWinograd(f) ?? lowerWinogradGradient(f)) : null;
  if (fast) return fast;
  const spec = contractionSpec(f, region.hero, true);
  if (spec) return ctx.target.kind === 'wasm' ? lowerGemmWasm(f, spec) : lowerGemmWebGpu(f, spec);
  return lowerMap(region, ctx);
}
