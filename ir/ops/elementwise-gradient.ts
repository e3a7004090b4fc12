/** Gradients of the elementwise ops. Where a derivative has a form in the result (tanh, sigmoid, exp) it is used: the result is what a forward pass keeps. */
import type { GraphBuilder } from '../builder.js';
import { isFloat, numberAt } from '../dtype.js';
import type { Value } from '../graph.js';
import type { GradientContext } from '../op.js';
import type { UnaryFunction } from '../op-attrs.js';

type UnaryRule = (b: GraphBuilder, g: Value, x: Value, y: Value) => Value;

const zero = null;
const oneMinusSquare = (b: GraphBuilder, x: Value): Value => b.sub(1, b.square(x));

const unaryRules: Record<UnaryFunction, UnaryRule | null> = {
  neg: (b, g) => b.neg(g),
  abs: (b, g, x) => b.mul(g, b.unary('sign', x)),
  sign: zero,
  floor: zero,
  ceil: zero,
  round: zero,
  exp: (b, g, _x, y) => b.mul(g, y),
  expm1: (b, g, _x, y) => b.mul(g, b.add(y, 1)),
  log: (b, g, x) => b.div(g, x),
  log1p: (b, g, x) => b.div(g, b.add(x, 1)),
  sqrt: (b, g, _x, y) => b.div(b.mul(g, 0.5), y),
  rsqrt: (b, g, _x, y) => b.mul(b.mul(g, -0.5), b.mul(y, b.square(y))),
  reciprocal: (b, g, _x, y) => b.neg(b.mul(g, b.square(y))),
  sin: (b, g, x) => b.mul(g, b.unary('cos', x)),
  cos: (b, g, x) => b.neg(b.mul(g, b.unary('sin', x))),
  tan: (b, g, _x, y) => b.mul(g, b.add(b.square(y), 1)),
  asin: (b, g, x) => b.mul(g, b.rsqrt(oneMinusSquare(b, x))),
  acos: (b, g, x) => b.neg(b.mul(g, b.rsqrt(oneMinusSquare(b, x)))),
  atan: (b, g, x) => b.div(g, b.add(b.square(x), 1)),
  sinh: (b, g, x) => b.mul(g, b.unary('cosh', x)),
  cosh: (b, g, x) => b.mul(g, b.unary('sinh', x)),
  tanh: (b, g, _x, y) => b.mul(g, oneMinusSquare(b, y)),
  asinh: (b, g, x) => b.mul(g, b.rsqrt(b.add(b.square(x), 1))),
  acosh: (b, g, x) => b.mul(g, b.rsqrt(b.sub(b.square(x), 1))),
  atanh: (b, g, x) => b.div(g, oneMinusSquare(b, x)),
  sigmoid: (b, g, _x, y) => b.mul(g, b.mul(y, b.sub(1, y))),
  erf: (b, g, x) => b.mul(g, b.mul(b.exp(b.neg(b.square(x))), 2 / Math.sqrt(Math.PI))),
  not: zero,
  bitwise_not: zero,
  is_nan: zero,
  is_inf: zero,
};

export function unaryGradient({ b, node, grads }: GradientContext<'unary'>): (Value | null)[] {
  const rule = unaryRules[node.attrs.fn];
  return [rule ? rule(b, grads[0]!, node.inputs[0]!, node.outputs[0]!) : null];
}

export function binaryGradient({ b, node, grads, wanted }: GradientContext<'binary'>): (Value | null)[] {
  const g = grads[0]!;
  const [x, y] = node.inputs as [Value, Value];
  const z = node.outputs[0]!;
  const both = (dx: () => Value, dy: () => Value): (Value | null)[] => [wanted[0] ? dx() : null, wanted[1] ? dy() : null];
  /** g where the condition holds for x, for y where it does not: ties of max and min go to x, as in TensorFlow. */
  const choose = (first: Value): (Value | null)[] =>
    both(
      () => b.select(first, g, 0),
      () => b.select(first, 0, g),
    );
  switch (node.attrs.fn) {
    case 'add':
      return both(
        () => g,
        () => g,
      );
    case 'sub':
      return both(
        () => g,
        () => b.neg(g),
      );
    case 'mul':
      return both(
        () => b.mul(g, y),
        () => b.mul(g, x),
      );
    case 'div':
      return both(
        () => b.div(g, y),
        () => b.neg(b.div(b.mul(g, z), y)),
      );
    case 'rem':
      return both(
        () => g,
        () => b.neg(b.mul(g, truncate(b, b.div(x, y)))),
      );
    case 'pow':
      return both(
        () => b.mul(g, powByBase(b, x, y)),
        () => b.mul(g, powByExponent(b, x, z)),
      );
    case 'max':
      return choose(b.compare('ge', x, y));
    case 'min':
      return choose(b.compare('le', x, y));
    case 'atan2': {
      const scaled = b.div(g, b.add(b.square(x), b.square(y)));
      return both(
        () => b.mul(scaled, y),
        () => b.neg(b.mul(scaled, x)),
      );
    }
    case 'and':
    case 'or':
    case 'xor':
    case 'shift_left':
    case 'shift_right':
      return [null, null];
  }
}

const truncate = (b: GraphBuilder, q: Value): Value => b.mul(b.unary('sign', q), b.unary('floor', b.unary('abs', q)));

/** y * x^(y-1), and 0 where y is 0 (also for x = 0). */
const powByBase = (b: GraphBuilder, x: Value, y: Value): Value => b.mul(y, b.pow(x, b.select(b.compare('eq', y, 0), 1, b.sub(y, 1))));

/** x^y * log(x), and 0 where x is not positive, as in TensorFlow. */
function powByExponent(b: GraphBuilder, x: Value, z: Value): Value {
  const positive = b.compare('gt', x, 0);
  return b.select(positive, b.mul(z, b.log(b.select(positive, x, 1))), 0);
}

/** The number that a constant, or a broadcast of a scalar constant, holds; null for other values. */
export function constantScalar(v: Value): number | null {
  const p = v.producer;
  if (p?.op === 'broadcast') return constantScalar(p.inputs[0]!);
  if (p?.op !== 'constant' || p.attrs.value.data.length !== 1) return null;
  return numberAt(p.attrs.value.data, 0);
}

/**
 * For `select(x <= k, k, x)` (relu) and `select(x >= k, k, x)` the same condition on the result: then the backward pass needs the result only, which the next
 * layer keeps anyway.
 */
function conditionOnResult(b: GraphBuilder, condition: Value, then: Value, other: Value, result: Value): Value {
  const p = condition.producer;
  if (p?.op !== 'compare' || (p.attrs.fn !== 'le' && p.attrs.fn !== 'ge') || p.inputs[0] !== other) return condition;
  const k = constantScalar(p.inputs[1]!);
  return k !== null && k === constantScalar(then) ? b.compare(p.attrs.fn, result, p.inputs[1]!) : condition;
}

export function selectGradient({ b, node, grads, wanted }: GradientContext<'select'>): (Value | null)[] {
  const g = grads[0]!;
  const [condition, x, y] = node.inputs as [Value, Value, Value];
  const c = conditionOnResult(b, condition, x, y, node.outputs[0]!);
  return [null, wanted[1] ? b.select(c, g, 0) : null, wanted[2] ? b.select(c, 0, g) : null];
}

export function castGradient({ b, node, grads }: GradientContext<'cast'>): (Value | null)[] {
  const from = node.inputs[0]!.dtype;
  return [isFloat(from) && isFloat(node.attrs.dtype) ? b.cast(grads[0]!, from) : null];
}
