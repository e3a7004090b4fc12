/** What a device offers: sessions that own a model's state and run its plans. Implemented by runtime/webgpu and runtime/wasm. */
import type { CompiledPlan, PlanDType } from './plan.js';

/** Host data. float16 and bfloat16 travel as Float32Array, bool as Uint8Array of 0 and 1, int64 and uint64 as arrays of bigints. */
export type HostArray =
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

export interface DeviceInfo {
  readonly kind: 'webgpu' | 'wasm';
  /** One line for people, such as `WebAssembly SIMD, 2 threads`. */
  readonly description: string;
  /** wasm: threads that run kernels, and whether the engine has relaxed SIMD: what to compile for. */
  readonly threads?: number;
  readonly relaxedSimd?: boolean;
  /** webgpu: the adapter runs on the CPU. */
  readonly software?: boolean;
}

export interface DeviceCounters {
  /** Submits (WebGPU) or module calls (WASM). */
  submits: number;
  dispatches: number;
  /** Host to device and back. */
  uploads: number;
  readbacks: number;
  buffersCreated: number;
  pipelinesCreated: number;
}

export interface Device {
  readonly info: DeviceInfo;
  readonly counters: DeviceCounters;
  createSession(): Session;
  dispose(): void;
}

/** A data set on the device. */
export interface ResidentArray {
  readonly dtype: PlanDType;
  readonly shape: readonly number[];
  dispose(): void;
}

export interface RunOptions {
  /** Values of the plan's symbols. */
  readonly symbols?: Readonly<Record<string, number>>;
  /** Non-resident inputs by name; copied at the call. */
  readonly inputs?: Readonly<Record<string, HostArray>>;
  /** Resident inputs by name. */
  readonly resident?: Readonly<Record<string, ResidentArray>>;
  /** Runs the program so many times in one submit; default 1. */
  readonly repeat?: number;
}

/**
 * Owns a model's device memory: state shared by all loaded plans (by slot name), one arena, and loaded programs. State that several plans name must agree in dtype
 * and size. Nothing is allocated by `run` after the first run of a program with the same symbols.
 */
export interface Session {
  readonly device: Device;
  /** Loads a plan; builds all its pipelines. State not yet present is created with its initial contents (zeros where it has none). */
  load(compiled: CompiledPlan): Promise<LoadedPlan>;
  hasState(name: string): boolean;
  /** Writes elements from `offset` on. Programs run their prepare steps again before their next run. */
  writeState(name: string, data: HostArray, offset?: number): void;
  /** A copy of the slot's contents. */
  readState(name: string): Promise<HostArray>;
  /** Uploads a data set. */
  upload(dtype: PlanDType, shape: readonly number[], data: HostArray): ResidentArray;
  /** Replaces the contents of a data set of this session, of the same dtype and size. Work queued before still sees the old contents. */
  rewrite(data: ResidentArray, contents: HostArray): void;
  /** Resolves when all work queued so far has run; rejects when the device failed. */
  finish(): Promise<void>;
  dispose(): void;
}

export interface OutputArray {
  readonly dtype: PlanDType;
  readonly shape: number[];
  readonly data: HostArray;
}

export interface LoadedPlan {
  readonly compiled: CompiledPlan;
  /** Queues one run (or `repeat` runs) of a program. Throws on unknown programs, missing or wrong inputs and symbols out of range. */
  run(program: string, options?: RunOptions): void;
  /** An output of the program's last run, cut to its shape with the run's symbols. */
  read(program: string, output: string): Promise<OutputArray>;
  /** The same at once, on devices where a run is over when `run` returns (WASM). */
  readNow?(program: string, output: string): OutputArray;
  dispose(): void;
}
