/**
 * Kernel IR: a small typed loop language. A kernel runs for every workgroup of a grid; inside a workgroup, threads are told apart by local ids and meet at
 * barriers. WASM kernels have workgroups of one thread. Expressions are in expr.ts.
 */
import type { SizeExpr } from '../../runtime/plan.js';
import { type Expr, type Scalar, type VarExpr, variable } from './expr.js';

/**
 * Memory that is loaded from and stored to by element index. global: a tensor argument. workgroup: shared by a workgroup. private: of one thread.
 * On WASM, workgroup and private memory are scratch of the running thread.
 */
export interface Memory {
  readonly name: string;
  readonly space: 'global' | 'workgroup' | 'private';
  /** Element type as computed with. */
  readonly scalar: Scalar;
  /** How elements are stored where that differs: bool as u32; u8, i8, u16 and i16 packed in 8 and 16 bits, read-only. */
  readonly storage: 'same' | 'bool32' | 'u8' | 'i8' | 'u16' | 'i16';
  /** global: what the kernel does with it. */
  readonly access: 'read' | 'write' | 'read_write';
  /** Elements; for global memory the most it can have (or Infinity). */
  readonly size: number;
  /** global: it may begin at an element whose number is no multiple of 4, so that it cannot be seen as vectors on WebGPU. */
  readonly unaligned?: boolean;
}

export type Stmt =
  /**
   * step is positive; the variable runs from begin while < end. `unroll`: `unrollLoops` repeats the body (constant trip count). `parallel`: iterations are independent, so that
   * `vectorizeLoops` may run four at once.
   */
  | {
      readonly kind: 'for';
      readonly v: VarExpr;
      readonly begin: Expr;
      readonly end: Expr;
      readonly step: number;
      readonly unroll?: boolean;
      readonly parallel?: boolean;
      readonly body: readonly Stmt[];
    }
  | { readonly kind: 'if'; readonly cond: Expr; readonly then: readonly Stmt[]; readonly else: readonly Stmt[] }
  /** Binds a name to a value for the rest of the block. */
  | { readonly kind: 'let'; readonly v: VarExpr; readonly value: Expr }
  /** Declares a mutable variable (accumulator) for the rest of the block. */
  | { readonly kind: 'mutable'; readonly v: VarExpr; readonly init: Expr }
  | { readonly kind: 'assign'; readonly v: VarExpr; readonly value: Expr }
  /** Stores `value` (1, 2 or 4 lanes, consecutive elements) from element `index` on. */
  | { readonly kind: 'store'; readonly memory: Memory; readonly index: Expr; readonly value: Expr }
  /** All threads of the workgroup; orders workgroup and global memory. */
  | { readonly kind: 'barrier' }
  | { readonly kind: 'while'; readonly cond: Expr; readonly body: readonly Stmt[] }
  | { readonly kind: 'comment'; readonly text: string };

export interface Kernel {
  readonly name: string;
  /** Header comment of the emitted text. */
  readonly notes: readonly string[];
  /** Global memory, in argument order. */
  readonly args: readonly Memory[];
  /** Plan symbols that the body reads, in block order. */
  readonly symbols: readonly string[];
  readonly grid: readonly [SizeExpr, SizeExpr, SizeExpr];
  /** WASM: groups come in phases of so many (x alone): those of a phase begin when all of the phase before have ended. Absent: groups run in any order. */
  readonly phase?: number;
  readonly workgroupSize: readonly [number, number, number];
  /** Workgroup and private memory. */
  readonly locals: readonly Memory[];
  readonly body: readonly Stmt[];
}

export const forLoop = (
  v: VarExpr,
  begin: Expr,
  end: Expr,
  body: readonly Stmt[],
  options: { step?: number; unroll?: boolean; parallel?: boolean } = {},
): Stmt => ({
  kind: 'for',
  v,
  begin,
  end,
  step: options.step ?? 1,
  unroll: options.unroll,
  parallel: options.parallel,
  body,
});
export const ifThen = (cond: Expr, then: readonly Stmt[], otherwise: readonly Stmt[] = []): Stmt[] =>
  cond.kind === 'const' ? [...(cond.value ? then : otherwise)] : [{ kind: 'if', cond, then, else: otherwise }];
export const letVar = (v: VarExpr, value: Expr): Stmt => ({ kind: 'let', v, value });
export const mutable = (v: VarExpr, init: Expr): Stmt => ({ kind: 'mutable', v, init });
export const assign = (v: VarExpr, value: Expr): Stmt => ({ kind: 'assign', v, value });
export const store = (memory: Memory, index: Expr, value: Expr): Stmt => ({ kind: 'store', memory, index, value });
/**
 * Several stores of one element. All values are computed before the first store: an output may lie where an input lies (in place), so a store can overwrite what another
 * value reads.
 */
export function storeAll(stores: readonly { readonly memory: Memory; readonly index: Expr; readonly value: Expr }[]): Stmt[] {
  if (stores.length === 1) return stores.map((s) => store(s.memory, s.index, s.value));
  const names = stores.map((s) => variable('value', 'let', s.value.scalar, undefined, s.value.lanes));
  return [...stores.map((s, i) => letVar(names[i]!, s.value)), ...stores.map((s, i) => store(s.memory, s.index, names[i]!))];
}
export const barrier: Stmt = { kind: 'barrier' };

/** Sub-blocks of a statement. */
export const blocksOf = (s: Stmt): readonly (readonly Stmt[])[] =>
  s.kind === 'for' || s.kind === 'while' ? [s.body] : s.kind === 'if' ? [s.then, s.else] : [];
/** Expressions that a statement evaluates itself. */
export function exprsOf(s: Stmt): readonly Expr[] {
  switch (s.kind) {
    case 'for':
      return [s.begin, s.end];
    case 'if':
    case 'while':
      return [s.cond];
    case 'let':
    case 'assign':
      return [s.value];
    case 'mutable':
      return [s.init];
    case 'store':
      return [s.index, s.value];
    case 'barrier':
    case 'comment':
      return [];
  }
}
