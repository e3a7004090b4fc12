/** contraction: dot and conv with prologue and epilogue. */
import type { Region } from '../../passes/regions.js';
import type { LoweredKernel, LowerContext } from '../lower/frame.js';
import { lowerMap } from './map.js';

export const lowerContraction = (region: Region, ctx: LowerContext): LoweredKernel => lowerMap(region, ctx);
