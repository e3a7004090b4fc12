/** Facts about targets. Heuristics are pure functions of a region and these facts; nothing else is asked. */

export interface TargetInfo {
  readonly kind: 'webgpu' | 'wasm';
  /** WASM: worker threads that run groups of a kernel side by side (1: none). */
  readonly threads: number;
  /** WASM: relaxed SIMD (fused multiply-add). */
  readonly relaxedSimd: boolean;
  /** WebGPU: workgroup memory is faster than global memory, and barriers cost little, so that operands are staged there. Not so on adapters that run on the CPU. */
  readonly stages: boolean;
  readonly maxWorkgroupSize: number;
  /** Bytes. */
  readonly maxWorkgroupStorage: number;
  readonly maxStorageBuffers: number;
  /** Bytes. */
  readonly maxBufferSize: number;
  readonly maxBindingSize: number;
  readonly maxGroupsPerDimension: number;
}

/** WebGPU's default limits, which every device has. */
export const webgpuTarget: TargetInfo = {
  kind: 'webgpu',
  threads: 1,
  relaxedSimd: false,
  stages: true,
  maxWorkgroupSize: 256,
  maxWorkgroupStorage: 16384,
  maxStorageBuffers: 8,
  maxBufferSize: 268435456,
  maxBindingSize: 134217728,
  maxGroupsPerDimension: 65535,
};

/** WASM with SIMD128. */
export const wasmTarget = (threads: number, relaxedSimd: boolean): TargetInfo => ({
  kind: 'wasm',
  threads,
  relaxedSimd,
  stages: false,
  maxWorkgroupSize: 1,
  maxWorkgroupStorage: 4194304,
  maxStorageBuffers: 64,
  maxBufferSize: 4294967296,
  maxBindingSize: 4294967296,
  maxGroupsPerDimension: 2147483647,
});

/** What to compile for to run on an open device (Device.info). */
export const targetOf = (info: {
  readonly kind: 'webgpu' | 'wasm';
  readonly threads?: number;
  readonly relaxedSimd?: boolean;
  readonly software?: boolean;
}): TargetInfo => (info.kind === 'webgpu' ? { ...webgpuTarget, stages: info.software !== true } : wasmTarget(info.threads ?? 1, info.relaxedSimd ?? false));
