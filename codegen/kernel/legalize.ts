/**
 * Rewrites what a target has no instruction for. WASM: all transcendental functions become expressions, and bool tensors become 32-bit words. WGSL: functions that it lacks, that are
 * imprecise, or that may treat NaN as they like; the WGSL printer asks `expand` for each and prints it as a helper function, so that kernels stay short.
 */
import { type BinaryFn, binary, bitcast, cast, compare, constant, div, type Expr, isFloatScalar, load, mul, or, select, type UnaryFn, unary } from './expr.js';
import type { Kernel, Memory, Stmt } from './ir.js';
import { doubleBinary, doubleUnary } from './legalize-double.js';
import * as math from './legalize-math.js';
import { mapExpr, mapStmts } from './walk.js';

export type Target = math.Target;

type Unary = (x: Expr, target: Target) => Expr;

/** Expanded on both targets: WGSL's are missing, overflow, or are only as good as 2^-11. */
const everywhere: Partial<Record<UnaryFn, Unary>> = {
  expm1: math.expm1,
  log1p: math.log1p,
  sin: math.sin,
  cos: math.cos,
  tan: math.tan,
  asin: math.asin,
  acos: math.acos,
  atan: math.atan,
  sinh: math.sinh,
  cosh: math.cosh,
  tanh: math.tanh,
  asinh: math.asinh,
  acosh: math.acosh,
  atanh: math.atanh,
  sigmoid: math.sigmoid,
  erf: math.erf,
};

const one = (x: Expr, v: number): Expr => constant(v, x.scalar, x.lanes);
const magnitudeBits = (x: Expr): Expr => binary('and', bitcast(x, 'u32'), constant(0x7fffffff, 'u32', x.lanes));

const only: Record<Target, Partial<Record<UnaryFn, Unary>>> = {
  wasm: { exp: math.exp, log: math.log },
  wgsl: {
    // By bits: WGSL lets implementations assume that there are no NaNs in comparisons.
    is_nan: (x) => compare('gt', magnitudeBits(x), constant(0x7f800000, 'u32', x.lanes)),
    is_inf: (x) => compare('eq', magnitudeBits(x), constant(0x7f800000, 'u32', x.lanes)),
    // What an implementation makes of zero, negative numbers and NaN is its own affair: -88 for log(0) has been seen.
    log: (x) => math.logEnds(x, unary('log', x)),
    exp: (x) => select(unary('is_nan', x), x, unary('exp', x)),
    sign: (x) => select(compare('gt', x, one(x, 0)), one(x, 1), select(compare('lt', x, one(x, 0)), one(x, -1), x)),
  },
};

/** Powers that are cheaper and exact as products, roots and reciprocals; null for others. */
export function simplePower(x: Expr, y: Expr): Expr | null {
  if (y.kind !== 'const') return null;
  switch (y.value) {
    case 0:
      return one(x, 1);
    case 1:
      return x;
    case 2:
      return mul(x, x);
    case 3:
      return mul(mul(x, x), x);
    case 4:
      return mul(mul(x, x), mul(x, x));
    case -1:
      return div(one(x, 1), x);
    case -2:
      return div(one(x, 1), mul(x, x));
    case 0.5:
      // sqrt(-0) is -0 and sqrt(-inf) is NaN, where pow gives 0 and inf.
      return select(compare('eq', x, one(x, Number.NEGATIVE_INFINITY)), one(x, Number.POSITIVE_INFINITY), binary('add', unary('sqrt', x), one(x, 0)));
    default:
      return null;
  }
}

function expandBinary(fn: BinaryFn, a: Expr, b: Expr, target: Target): Expr | null {
  switch (fn) {
    case 'pow':
      return simplePower(a, b) ?? math.pow(a, b, target);
    case 'atan2':
      return math.atan2(a, b);
    case 'rem':
      return math.remainder(a, b);
    case 'min':
    case 'max':
      // The second operand, unless the first wins or is NaN.
      return target === 'wgsl' ? select(or(compare(fn === 'max' ? 'gt' : 'lt', a, b), unary('is_nan', a)), a, b) : null;
    default:
      return null;
  }
}

/** The expansion of one operation in terms of its arguments, which may need expanding in turn; null where the target has it. */
export function expand(e: Expr, target: Target): Expr | null {
  if (e.kind !== 'unary' && e.kind !== 'binary') return null;
  const s = e.args[0]!.scalar;
  if (!isFloatScalar(s)) return null;
  if (s === 'f64') {
    const [a, b] = e.args as readonly [Expr, Expr];
    return e.kind === 'unary' ? (doubleUnary[e.fn]?.(a) ?? null) : ((e.fn === 'pow' ? simplePower(a, b) : null) ?? doubleBinary[e.fn]?.(a, b) ?? null);
  }
  const f = e.kind === 'unary' ? (only[target][e.fn] ?? everywhere[e.fn]) : null;
  if (e.kind === 'unary' && !f) return null;
  if (s === 'f16') {
    const [a, b] = e.args.map((x) => cast(x, 'f32')) as [Expr, Expr];
    const wide = e.kind === 'unary' ? unary(e.fn, a) : binary(e.fn, a, b);
    if (e.kind === 'binary' && !expandBinary(e.fn, a, b, target)) return null;
    return cast(wide, e.scalar);
  }
  return e.kind === 'unary' ? f!(e.args[0]!, target) : expandBinary(e.fn, e.args[0]!, e.args[1]!, target);
}

/** Expands everything that the target lacks. For WGSL only what is better inline: powers and comparisons with constants. */
export function legalizeExpr(e: Expr, target: Target, memo: Map<Expr, Expr> = new Map()): Expr {
  const rule = (x: Expr): Expr => {
    const out = target === 'wasm' ? expand(x, target) : inlineForWgsl(x);
    return out ? mapExpr(out, rule, memo) : x;
  };
  return mapExpr(e, rule, memo);
}

/** max(x, c) as a select on x <= c, which is false for NaN; powers by constants. */
function inlineForWgsl(e: Expr): Expr | null {
  if (e.kind !== 'binary' || e.scalar !== 'f32') return null;
  const [a, b] = e.args as readonly [Expr, Expr];
  if (e.fn === 'pow') return simplePower(a, b);
  if (e.fn !== 'min' && e.fn !== 'max') return null;
  const [x, c] = a.kind === 'const' ? [b, a] : [a, b];
  return c.kind === 'const' && !Number.isNaN(c.value) ? select(compare(e.fn === 'max' ? 'le' : 'ge', x, c), c, x) : null;
}

/** Expands functions in a kernel; on WASM also stores bool tensors as words (their memories are replaced, in `args` too). */
export function legalizeFor(kernel: Kernel, target: Target): Kernel {
  const memo = new Map<Expr, Expr>();
  const functions = mapStmts(kernel.body, { expr: (e) => legalizeExpr(e, target, memo) });
  if (target === 'wgsl') return { ...kernel, body: functions };
  const words = new Map<Memory, Memory>();
  for (const m of [...kernel.args, ...kernel.locals]) if (m.scalar === 'bool') words.set(m, { ...m, scalar: 'u32', storage: 'same' });
  if (words.size === 0) return { ...kernel, body: functions };
  const asBool = (e: Expr): Expr => {
    const m = e.kind === 'load' ? words.get(e.memory) : undefined;
    return m && e.kind === 'load' ? compare('ne', load(m, e.args[0]!, e.lanes), constant(0, 'u32', e.lanes)) : e;
  };
  const loads = new Map<Expr, Expr>();
  const body = mapStmts(functions, {
    expr: (e) => mapExpr(e, asBool, loads),
    stmt: (s): Stmt[] => {
      const m = s.kind === 'store' ? words.get(s.memory) : undefined;
      return [m && s.kind === 'store' ? { ...s, memory: m, value: cast(s.value, 'u32') } : s];
    },
  });
  const swap = (m: Memory): Memory => words.get(m) ?? m;
  return { ...kernel, args: kernel.args.map(swap), locals: kernel.locals.map(swap), body };
}
