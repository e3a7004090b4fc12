/** Compile targets as commands name them. */
import { type TargetInfo, wasmTarget, webgpuTarget } from '../codegen/target.js';
import { didYouMean } from '../ir/errors.js';
import { UsageError } from './io.js';

export const targetNames = ['webgpu', 'wasm'] as const;
export type TargetName = (typeof targetNames)[number];

export function targetName(text: string): TargetName {
  const found = targetNames.find((t) => t === text);
  if (!found) throw new UsageError(`unknown target '${text}'; expected ${targetNames.join(' or ')}.${didYouMean(text, targetNames)}`);
  return found;
}

/** Artefacts run anywhere: default limits on WebGPU; on WebAssembly code for threads (which one thread runs as well), without relaxed SIMD, which not every engine has. */
export const targetInfo = (name: TargetName): TargetInfo => (name === 'webgpu' ? webgpuTarget : wasmTarget(4, false));

export function listOf(text: string): string[] {
  return [
    ...new Set(
      text
        .split(',')
        .map((t) => t.trim())
        .filter((t) => t !== ''),
    ),
  ];
}

export function positiveInteger(text: string, option: string): number {
  const n = Number(text);
  if (!Number.isInteger(n) || n < 1) throw new UsageError(`${option} must be a positive integer, found '${text}'`);
  return n;
}
