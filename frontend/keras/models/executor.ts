/** What runs a model's graphs: compiled plans on a device, or the reference evaluation. Both keep the state between runs. */
import type { DType, TypedArray } from '../../../ir/dtype.js';
import type { Graph } from '../../../ir/graph.js';
import type { TensorData } from '../../../ir/tensor-data.js';
import type { CompiledPlan } from '../../../runtime/plan.js';

/** A data set on the device. */
export interface ResidentData {
  dispose(): void;
}

export interface ProgramRun {
  readonly symbols?: Readonly<Record<string, number>>;
  /** Inputs copied at the call, by name. */
  readonly inputs?: Readonly<Record<string, TensorData>>;
  /** Data sets by input name. */
  readonly resident?: Readonly<Record<string, ResidentData>>;
  /** So many runs at once; default 1. */
  readonly repeat?: number;
}

/** One graph, ready to run. */
export interface Program {
  /** What it runs; null for the reference evaluation. */
  readonly compiled: CompiledPlan | null;
  run(options?: ProgramRun): void;
  /** An output of the last run. */
  read(output: string): Promise<TensorData>;
  /** The same at once, where a run is over when `run` returns. */
  readNow?(output: string): TensorData;
  dispose(): void;
}

export interface Executor {
  /** One line for people. */
  readonly description: string;
  /** Makes a graph ready to run. State that is not there yet is created with zeros. */
  load(name: string, graph: Graph): Promise<Program>;
  /** Eager mode, instead of `load`: `build` is run anew at every run, and its graph is evaluated as it comes about. `initial` gives what a state slot starts with. */
  loadEager?(build: () => Graph | Promise<Graph>, initial: (slot: string, dtype: DType, shape: readonly number[]) => TypedArray): Program;
  hasState(name: string): boolean;
  writeState(name: string, data: TypedArray): void;
  readState(name: string): Promise<TypedArray>;
  upload(dtype: DType, shape: readonly number[], data: TypedArray): ResidentData;
  /** Replaces the contents of a data set; work queued before sees the old ones. */
  rewrite(data: ResidentData, dtype: DType, contents: TypedArray): void;
  /** Bytes of one array, and of a whole data set, that are kept on the device; larger sets are streamed. */
  readonly residentLimit: { readonly array: number; readonly total: number };
  /** Resolves when all queued work has run. */
  finish(): Promise<void>;
  dispose(): void;
}
