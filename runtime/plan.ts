/**
 * The plan: everything a device needs to run a compiled model, as data. Documented in docs/plan-format.md. A plan has one or more programs (such as
 * `train`, `evaluate`, `predict`) that share state. A program's steps are a fixed list; running one costs one submit (WebGPU) or one call (WASM).
 */

/** Element types of tensors in a plan. bool is stored as 32-bit 0 or 1. */
export type PlanDType =
  | 'float32'
  | 'float16'
  | 'bfloat16'
  | 'float64'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'int16'
  | 'uint16'
  | 'int8'
  | 'uint8'
  | 'bool';

/** An integer computed from symbols when a program runs. */
export type SizeExpr =
  | number
  | { readonly symbol: string }
  | { readonly op: 'add' | 'sub' | 'mul' | 'ceildiv' | 'floordiv' | 'mod' | 'max' | 'min'; readonly args: readonly [SizeExpr, SizeExpr] };

export interface PlanSymbol {
  readonly name: string;
  /** Largest value that memory is planned for. */
  readonly max: number;
}

/**
 * A range of device memory. `state`: outlives runs, shared by name between the plans of a session. `arena`: intermediates; the session's one arena is as large as the largest.
 * `prepared`: results of a program's prepare steps (folded, packed weights), kept between runs. `constant`: initial contents in the plan's blob.
 * `input`: bound by the host (a data set); its size is that of the bound data. `io`: non-resident inputs and outputs.
 */
export interface PlanBuffer {
  readonly name: string;
  readonly kind: 'state' | 'arena' | 'prepared' | 'constant' | 'input' | 'io';
  readonly bytes: number;
  /** kind constant: byte offset of the contents in the plan's constant blob. */
  readonly blobOffset?: number;
}

/** A tensor in a buffer. */
export interface PlanTensor {
  readonly name: string;
  /** As the host sees it. */
  readonly dtype: PlanDType;
  /** As it lies in device memory, where that differs: a wider type for what kernels compute of narrow ones, a narrower one for 64-bit integers on WebGPU. */
  readonly stored?: PlanDType;
  /** Numbers, or expressions of symbols. */
  readonly shape: readonly SizeExpr[];
  /** Index in Plan.buffers. */
  readonly buffer: number;
  /** Byte offset in the buffer. */
  readonly offset: number;
}

export interface PlanInput extends PlanTensor {
  /** A data set that the host binds once and that stays on the device. */
  readonly resident: boolean;
}

export interface PlanState extends PlanTensor {
  readonly shape: readonly number[];
  readonly trainable: boolean;
  /** Named parts, such as one layer's kernel; offsets in elements. */
  readonly views: readonly { readonly name: string; readonly offset: number; readonly shape: readonly number[] }[];
  /** Byte offset of the initial contents in the constant blob; null: zeros until the host writes. */
  readonly initial: number | null;
}

/** Work of one dispatch, for reports: multiply-adds count two. */
export interface KernelFigures {
  readonly flops: SizeExpr;
  readonly bytesRead: SizeExpr;
  readonly bytesWritten: SizeExpr;
}

/** One storage binding of a kernel: WebGPU's @binding(i) of group 0. All arguments in one buffer that is written share one, since a buffer may not be bound read and read_write in one dispatch. */
export interface PlanBinding {
  readonly access: 'read' | 'read_write';
}

/** A tensor argument of a kernel. */
export interface PlanArg {
  readonly name: string;
  readonly dtype: PlanDType;
  readonly access: 'read' | 'write' | 'read_write';
  /** Index in PlanKernel.bindings. */
  readonly binding: number;
}

/**
 * A kernel. It finds its arguments through an argument block of u32 words: one word an argument (WebGPU: offset in the binding in elements of the argument's dtype; WASM: byte
 * address), then one word a symbol. So equal kernels at other addresses or sizes share code and pipeline. WebGPU: the block is the uniform binding after the storage bindings.
 */
export interface PlanKernel {
  /** Unique; made of the layers that it fuses. */
  readonly name: string;
  readonly args: readonly PlanArg[];
  readonly bindings: readonly PlanBinding[];
  readonly symbols: readonly string[];
  /** Printed schedule; those of merged kernels with ` | ` between. */
  readonly schedule: string;
  readonly workgroupSize: readonly [number, number, number];
  /** WebGPU: index in CompiledPlan.wgsl. WASM: index in the module's kernel table. */
  readonly code: number;
}

export interface PlanDispatch {
  readonly kind: 'dispatch';
  /** Index in Plan.kernels. */
  readonly kernel: number;
  /** For people: the layers it serves. */
  readonly label: string;
  readonly groups: readonly [SizeExpr, SizeExpr, SizeExpr];
  /** Plan.buffers index of each binding. */
  readonly buffers: readonly number[];
  /** Byte offset of each argument in its buffer. */
  readonly offsets: readonly number[];
  readonly figures: KernelFigures;
  /** WASM: groups are split over threads only when set. */
  readonly parallel: boolean;
  /** WASM: groups come in phases of so many (at most 16), which threads may share; a phase begins when the one before has ended. Absent: there are none. One thread runs the groups in order either way. */
  readonly phase?: number;
}

/** Runs the body `count` times with `symbol` bound to 0, 1, … (from count-1 down when reverse). */
export interface PlanLoop {
  readonly kind: 'loop';
  readonly symbol: string;
  readonly count: SizeExpr;
  readonly reverse: boolean;
  readonly body: readonly PlanStep[];
}

export type PlanStep = PlanDispatch | PlanLoop;

export interface PlanProgram {
  readonly name: string;
  readonly inputs: readonly PlanInput[];
  readonly outputs: readonly PlanTensor[];
  /** Run once before the first run and again after the host wrote state (weight folding and packing). */
  readonly prepare: readonly PlanStep[];
  readonly steps: readonly PlanStep[];
}

/** Memory figures for reports, in bytes. */
export interface MemoryFigures {
  readonly arena: number;
  /** Sum of all intermediate values. */
  readonly sum: number;
  /** Largest set of intermediates alive at once: no plan can be smaller. */
  readonly lowerBound: number;
}

export interface Plan {
  readonly format: 'tenon-plan';
  readonly version: 2;
  readonly name: string;
  readonly target: 'webgpu' | 'wasm';
  readonly symbols: readonly PlanSymbol[];
  readonly buffers: readonly PlanBuffer[];
  readonly state: readonly PlanState[];
  readonly kernels: readonly PlanKernel[];
  /** Schedules by region, for the compiler: compiled with them, the model gives the same kernels. */
  readonly schedules: Readonly<Record<string, string>>;
  readonly programs: readonly PlanProgram[];
  /** By program name. */
  readonly memory: Readonly<Record<string, MemoryFigures>>;
  /** Device limits the plan needs beyond WebGPU's defaults. */
  readonly requiredLimits: Readonly<Record<string, number>>;
  /** WASM: what the module was built with. */
  readonly wasm?: { readonly threads: boolean; readonly relaxedSimd: boolean; readonly scratchBytes: number };
}

/** A plan with its code. */
export interface CompiledPlan {
  readonly plan: Plan;
  /** WebGPU: one source per distinct kernel. */
  readonly wgsl: readonly string[];
  /** WASM: the module; see docs/plan-format.md for imports and exports. */
  readonly wasm: Uint8Array | null;
  /** Contents of constant buffers and initial state. */
  readonly blob: Uint8Array;
}

/** The value of an expression with symbols bound. */
export function evalSize(e: SizeExpr, symbols: Readonly<Record<string, number>>): number {
  if (typeof e === 'number') return e;
  if ('symbol' in e) {
    const v = symbols[e.symbol];
    if (v === undefined) throw new Error(`symbol '${e.symbol}' has no value`);
    return v;
  }
  const [a, b] = [evalSize(e.args[0], symbols), evalSize(e.args[1], symbols)];
  switch (e.op) {
    case 'add':
      return a + b;
    case 'sub':
      return a - b;
    case 'mul':
      return a * b;
    case 'ceildiv':
      return Math.ceil(a / b);
    case 'floordiv':
      return Math.floor(a / b);
    case 'mod':
      return a % b;
    case 'max':
      return Math.max(a, b);
    case 'min':
      return Math.min(a, b);
  }
}
