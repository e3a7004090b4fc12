/** What all forms of the row schedule are made of: the levels of a region's reductions, accumulators and their steps, stores, and loops over the reduced axes. */
import { InternalError } from '../../ir/errors.js';
import type { Node, Value } from '../../ir/graph.js';
import type { Region } from '../../passes/regions.js';
import { add, compare, type Expr, i32, mul, type Scalar, type VarExpr, variable } from '../kernel/expr.js';
import { assign, forLoop, ifThen, letVar, mutable, type Stmt, storeAll } from '../kernel/ir.js';
import { substituteStmts } from '../kernel/walk.js';
import type { Frame } from '../lower/frame.js';
import { argStep, combine, identityOf } from '../lower/reduction.js';
import { scalarOf } from '../lower/scalar.js';
import { type Axis, delinearize, linearize } from '../lower/space.js';
import { mergeAxes } from './grid.js';
import { axesOf } from './map.js';

/** What a row schedule needs of its surroundings: a frame, or a region inside a kernel of several. */
export type RowEnv = Pick<Frame, 'region' | 'em' | 'ctx' | 'memoryOf' | 'baseOf' | 'local' | 'dim'>;

export type Reduction = Extract<Node, { op: 'reduce' | 'arg_reduce' }>;

export interface RowPlan {
  readonly domain: readonly Axis[];
  readonly kept: readonly number[];
  readonly reduced: readonly number[];
  /** Reductions by level; level 0 needs none. */
  readonly levels: readonly Reduction[][];
  /** Outputs over the whole domain, by the number of levels that must be done before. */
  readonly full: readonly Value[][];
  /** Outputs per row. */
  readonly rowOutputs: readonly Value[];
}

export const isReduction = (n: Node): n is Reduction => n.op === 'reduce' || n.op === 'arg_reduce';

export function planRow(f: RowEnv): RowPlan {
  const { region } = f;
  const hero = region.hero;
  if (!hero || !isReduction(hero)) throw new InternalError('a row region has no reduction');
  const shape = hero.inputs[0]!.shape;
  const reduced = hero.op === 'reduce' ? [...hero.attrs.axes] : [hero.attrs.axis];
  const kept = shape.map((_, i) => i).filter((i) => !reduced.includes(i));
  const memo = new Map<Value, number>();
  const inputs = new Set(region.inputs);
  /** Levels that must be finished before `v` can be computed. */
  const level = (v: Value): number => {
    const known = memo.get(v);
    if (known !== undefined) return known;
    let l = 0;
    if (!inputs.has(v) && v.producer) {
      for (const i of v.producer.inputs) l = Math.max(l, level(i));
      if (isReduction(v.producer) && region.nodes.includes(v.producer)) l += 1;
    }
    memo.set(v, l);
    return l;
  };
  const levels: Reduction[][] = [];
  for (const n of region.nodes) {
    if (!isReduction(n)) continue;
    const l = level(n.outputs[0]!) - 1;
    levels[l] = [...(levels[l] ?? []), n];
  }
  const full: Value[][] = Array.from({ length: levels.length + 1 }, () => []);
  const rowOutputs: Value[] = [];
  const isFull = (v: Value): boolean => v.shape.length === shape.length && v.shape.every((d, i) => String(d) === String(shape[i]));
  const rowsOnly = kept.length === shape.length;
  for (const v of region.outputs) {
    if (isFull(v) && !(v.producer && isReduction(v.producer)) && !rowsOnly && !isRowValue(v, region)) full[level(v)]!.push(v);
    else rowOutputs.push(v);
  }
  return { domain: axesOf(shape, f), kept, reduced, levels, full, rowOutputs };

  function isRowValue(v: Value, r: Region): boolean {
    // a domain whose reduced axes all have size 1 has rows of the same shape as the whole
    return reduced.every((a) => shape[a] === 1) && level(v) > 0 && r.nodes.some((n) => isReduction(n) && n.outputs[0] === v);
  }
}

/** Accumulators of one reduction: one, or value and position. */
export interface Accumulator {
  readonly node: Reduction;
  readonly scalar: Scalar;
  readonly identity: Expr;
}

export const accumulatorOf = (n: Reduction): Accumulator => {
  const dtype = n.op === 'reduce' ? n.outputs[0]!.dtype : n.inputs[0]!.dtype;
  return {
    node: n,
    scalar: scalarOf(dtype),
    identity: n.op === 'reduce' ? identityOf(n.attrs.fn, dtype) : identityOf(n.attrs.fn === 'argmax' ? 'max' : 'min', dtype),
  };
};

export const maxOf = (e: Expr): number => Math.max(0, e.hi);
export const product = (axes: readonly Axis[]): Expr => axes.reduce<Expr>((a, x) => mul(a, x.extent), i32(1));

export const indexOf = (p: RowPlan): Expr[] => p.domain.map((a) => a.v);

/** Stores of values at one index each. */
function storesAt(f: RowEnv, items: readonly { readonly v: Value; readonly index: readonly Expr[] }[]): Stmt[] {
  const values = items.map((x) => f.em.value(x.v, x.index));
  return storeAll(
    items.map((x, i) => ({ memory: f.memoryOf(x.v), index: add(f.baseOf(x.v), linearize(x.index, x.v.shape, f.ctx.symbols)), value: values[i]! })),
  );
}

/** Stores row outputs; every reduction is bound to its result. */
export function storeRow(f: RowEnv, p: RowPlan, block: Stmt[]): void {
  const isOne = (a: Axis): boolean => a.extent.kind === 'const' && a.extent.value === 1;
  const kept = p.kept.filter((a) => !isOne(p.domain[a]!)).map((a): Expr => p.domain[a]!.v);
  f.em.within(block, () => {
    const items = p.rowOutputs.map((v) => {
      let k = 0;
      return { v, index: v.shape.map((d) => (d === 1 ? i32(0) : kept[k++]!)) };
    });
    block.push(...storesAt(f, items));
  });
}

export function storeFull(f: RowEnv, p: RowPlan, level: number, block: Stmt[]): void {
  block.push(
    ...storesAt(
      f,
      (p.full[level] ?? []).map((v) => ({ v, index: indexOf(p) })),
    ),
  );
}

/** Declares accumulators of a level and gives the statements of one step and the finished values. */
export function declare(level: readonly Reduction[], block: Stmt[]): { acc: Accumulator; value: VarExpr; position: VarExpr | null }[] {
  return level.map((node) => {
    const acc = accumulatorOf(node);
    const value = variable('acc', 'mutable', acc.scalar);
    block.push(mutable(value, acc.identity));
    const position = node.op === 'arg_reduce' ? variable('at', 'mutable', 'i32') : null;
    if (position) block.push(mutable(position, i32(-1)));
    return { acc, value, position };
  });
}

/** One element of the row into the accumulators of a level. */
export function step(f: RowEnv, p: RowPlan, accs: ReturnType<typeof declare>, block: Stmt[]): void {
  for (const a of accs) {
    const n = a.acc.node;
    const e = f.em.value(n.inputs[0]!, indexOf(p));
    if (n.op === 'reduce') block.push(assign(a.value, combine(n.attrs.fn, a.value, e)));
    else {
      const k = p.domain[n.attrs.axis]!.v;
      const first = compare('lt', a.position!, i32(0));
      const start = variable('start', 'let', a.value.scalar);
      // the first element always wins over the identity, also when it equals it
      block.push(letVar(start, e), ...ifThen(first, [assign(a.position!, k), assign(a.value, start)], argStep(n.attrs.fn, a.value, a.position!, start, k)));
    }
  }
}

export function bindFinished(f: RowEnv, accs: ReturnType<typeof declare>): void {
  for (const a of accs) f.em.bind(a.acc.node.outputs[0]!, () => a.position ?? a.value);
}

/** The statements with the axes' variables replaced by the parts of a linear index. */
export function at(axes: readonly Axis[], linear: Expr, body: readonly Stmt[]): Stmt[] {
  const parts = delinearize(
    linear,
    axes.map((a) => a.extent),
  );
  return substituteStmts(body, new Map<Expr, Expr>(axes.map((a, i) => [a.v, parts[i]!])));
}

/**
 * A loop nest over the reduced axes, merged where possible. Every nest has variables of its own. `inBlocks` makes the innermost loop from a loop over a part of its range.
 */
export function reducedLoops(p: RowPlan, body: readonly Stmt[], parallel = false, inBlocks?: Blocks): readonly Stmt[] {
  const merged = mergeAxes(
    p.reduced.map((a) => p.domain[a]!),
    body,
  );
  const fresh = merged.axes.map((a) => ({ ...a, v: variable('k', 'loop', 'i32', [0, Math.max(0, maxOf(a.extent) - 1)]) }));
  const inner = substituteStmts(merged.stmts, new Map<Expr, Expr>(merged.axes.map((a, i) => [a.v, fresh[i]!.v])));
  return [...fresh].reverse().reduce<readonly Stmt[]>((b, a, i) => {
    if (i === 0 && inBlocks) return inBlocks(a.extent, (from, to) => forLoop(a.v, from, to, b));
    return [forLoop(a.v, i32(0), a.extent, b, { parallel: parallel && i === 0 })];
  }, inner);
}

/** A loop over `extent` in blocks, around the loop over one of them. */
export type Blocks = (extent: Expr, loop: (from: Expr, to: Expr) => Stmt) => readonly Stmt[];
