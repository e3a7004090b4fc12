/**
 * How a kernel's memories appear in WGSL. Tensor arguments that share a buffer share a binding. A binding is an array of the arguments' type where they agree, else of u32 with
 * bitcasts; where four elements are loaded or stored at an index that is a multiple of 4, it is an array of vec4, of which single elements are components. Four-lane accesses
 * are rewritten to a view of the memory that is indexed in units of 4.
 */
import { InternalError, UnsupportedError } from '../../ir/errors.js';
import { add, constant, div, type Expr, i32, linear, load, max, min, mul, select, type VarExpr } from '../kernel/expr.js';
import type { Kernel, Memory, Stmt } from '../kernel/ir.js';
import { mapExpr, mapStmts, visitStmts } from '../kernel/walk.js';

export interface WgslLayout {
  /** Storage bindings in order; the uniform argument block comes after them. */
  readonly bindings: readonly { readonly access: 'read' | 'read_write' }[];
  /** Binding of each of kernel.args. */
  readonly argBinding: readonly number[];
}

/** WGSL type of an array's elements. 'packed': four bytes or two 16-bit integers in a u32. */
export type Element = 'f32' | 'f16' | 'i32' | 'u32' | 'bool' | 'packed';

/** Bits of an element that is stored in less than 32; else 0. */
export const packedBits = (m: Memory): 0 | 8 | 16 => (m.storage === 'u8' || m.storage === 'i8' ? 8 : m.storage === 'u16' || m.storage === 'i16' ? 16 : 0);

export function elementOf(m: Memory): Element {
  if (packedBits(m) > 0) return 'packed';
  if (m.storage === 'bool32' || (m.scalar === 'bool' && m.space === 'global')) return 'u32';
  if (m.scalar === 'i64' || m.scalar === 'u64') throw new InternalError(`64-bit integers on WebGPU ('${m.name}'); expected 32 bits to carry them`);
  if (m.scalar === 'f64') throw new UnsupportedError(`float64 on WebGPU ('${m.name}'): WGSL has no 64-bit floats; compute in float32 or use the wasm device`);
  return m.scalar;
}

export interface Views {
  readonly kernel: Kernel;
  /** Views in units of 4 with the memory that they show. */
  readonly wide: ReadonlyMap<Memory, Memory>;
}

/** Rewrites aligned 4-lane accesses to views. */
export function wideViews(kernel: Kernel): Views {
  const aligned = alignedVars(kernel.body);
  const views = new Map<Memory, Memory>();
  const wide = new Map<Memory, Memory>();
  const viewOf = (m: Memory): Memory => {
    let v = views.get(m);
    if (!v) {
      v = { ...m, size: Math.floor(m.size / 4) };
      views.set(m, v);
      wide.set(v, m);
    }
    return v;
  };
  const memo = new Map<Expr, Expr>();
  const body = mapStmts(kernel.body, {
    expr: (e) =>
      mapExpr(
        e,
        (x) => {
          if (x.kind !== 'load' || x.lanes !== 4 || x.memory.unaligned || packedBits(x.memory) === 16) return x;
          const unit = divideBy4(x.args[0]!, aligned);
          return unit ? load(viewOf(x.memory), unit, 4) : x;
        },
        memo,
      ),
    stmt: (s): Stmt[] => {
      if (s.kind !== 'store' || s.value.lanes !== 4 || s.memory.unaligned) return [s];
      const unit = divideBy4(s.index, aligned);
      return [unit ? { ...s, memory: viewOf(s.memory), index: unit } : s];
    },
  });
  return { kernel: { ...kernel, body }, wide };
}

/** Loop variables that are always multiples of 4. */
function alignedVars(stmts: readonly Stmt[]): ReadonlySet<VarExpr> {
  const out = new Set<VarExpr>();
  visitStmts(stmts, (s) => {
    if (s.kind === 'for' && s.step % 4 === 0 && divideBy4(s.begin, out)) out.add(s.v);
  });
  return out;
}

/** e / 4 where e is provably a multiple of 4, else null. */
export function divideBy4(e: Expr, aligned: ReadonlySet<Expr> = new Set()): Expr | null {
  const l = linear(e);
  if (l.constant % 4 !== 0) return null;
  let out: Expr = i32(l.constant / 4);
  for (const [x, c] of l.terms) {
    const term = c % 4 === 0 ? mul(x, constant(c / 4)) : atomBy4(x, aligned);
    if (!term) return null;
    out = add(out, c % 4 === 0 ? term : mul(term, constant(c)));
  }
  return out;
}

function atomBy4(x: Expr, aligned: ReadonlySet<Expr>): Expr | null {
  if (aligned.has(x)) return div(x, i32(4));
  const by4 = (i: number): Expr | null => divideBy4(x.args[i]!, aligned);
  if (x.kind === 'select') {
    const [a, b] = [by4(1), by4(2)];
    return a && b ? select(x.args[0]!, a, b) : null;
  }
  if (x.kind !== 'binary') return null;
  if (x.fn === 'min' || x.fn === 'max') {
    const [a, b] = [by4(0), by4(1)];
    return a && b ? (x.fn === 'min' ? min : max)(a, b) : null;
  }
  if (x.fn === 'mul') {
    const a = by4(0);
    if (a) return mul(a, x.args[1]!);
    const b = by4(1);
    return b ? mul(x.args[0]!, b) : null;
  }
  return null;
}

/** A `var<storage>` of the module. */
export interface Binding {
  readonly element: Element;
  readonly vec4: boolean;
  readonly access: 'read' | 'read_write';
  readonly args: readonly number[];
}

/** Decides each binding's type. `usedWide`: memories that are accessed by views. */
export function bindingsOf(kernel: Kernel, layout: WgslLayout, usedWide: ReadonlySet<Memory>): Binding[] {
  if (layout.argBinding.length !== kernel.args.length)
    throw new InternalError(`${kernel.name}: ${kernel.args.length} arguments, bindings for ${layout.argBinding.length}`);
  return layout.bindings.map((b, index) => {
    const args = layout.argBinding.flatMap((x, i) => (x === index ? [i] : []));
    const memories = args.map((i) => kernel.args[i]!);
    for (const m of memories) {
      if (m.access !== 'read' && b.access === 'read')
        throw new InternalError(`${kernel.name}: argument '${m.name}' is written, its binding ${index} is read-only`);
      if (m.access !== 'read' && elementOf(m) === 'packed')
        throw new UnsupportedError(`${kernel.name}: '${m.name}' is stored in parts of words and cannot be written on WebGPU`);
    }
    const kinds = new Set(memories.map((m) => (elementOf(m) === 'packed' ? 'u32' : elementOf(m))));
    if (kinds.size > 1 && kinds.has('f16')) throw new UnsupportedError(`${kernel.name}: binding ${index} mixes float16 with other types`);
    const [only] = kinds;
    return { element: kinds.size === 1 ? only! : 'u32', vec4: memories.some((m) => usedWide.has(m) && elementOf(m) !== 'packed'), access: b.access, args };
  });
}
