/**
 * Rules for elementwise ops: identities, strength reduction, casts, selects. Float results keep their bits, but for the sign of zero: nothing is reassociated, and x*0 is
 * not 0 (NaN, infinity). Division becomes multiplication only by powers of two, where both are exact.
 */
import { type DType, floatPrecision, isFloat, isInteger, isUnsigned, storageBytes } from '../../ir/dtype.js';
import type { Value } from '../../ir/graph.js';
import type { CompareFunction } from '../../ir/op-attrs.js';
import { splatValue } from '../fold-constants.js';
import { any, binary, isCommutative, number, op, type Rule, rule, splat, unary } from '../rewrite.js';

const isPowerOfTwo = (x: number): boolean =>
  x !== 0 && Number.isFinite(x) && Number.isFinite(1 / x) && Number.isInteger(Math.log2(Math.abs(x))) && Math.abs(Math.log2(Math.abs(x))) < 64;
/** Bits that a value of an integer type needs. */
const integerBits = (t: DType): number => (t === 'bool' ? 1 : 8 * storageBytes[t] - (isUnsigned(t) ? 0 : 1));

/** Whether every value of `a` is a value of `b`. */
export function widens(a: DType, b: DType): boolean {
  if (a === b || a === 'bool') return true;
  if (b === 'bool') return false;
  // float16 has less range than bfloat16 and more precision.
  if (isFloat(a)) return isFloat(b) && storageBytes[a] < storageBytes[b];
  if (isFloat(b)) return integerBits(a) <= floatPrecision[b]!;
  return integerBits(a) <= integerBits(b) && (isUnsigned(a) || !isUnsigned(b));
}

/** The comparison that holds where `fn` does, with operands exchanged. */
const exchanged: Record<CompareFunction, CompareFunction> = { eq: 'eq', ne: 'ne', lt: 'gt', le: 'ge', gt: 'lt', ge: 'le' };
/** The comparison that holds where `fn` does not (numbers only: NaN compares false). */
const opposite: Record<CompareFunction, CompareFunction> = { eq: 'ne', ne: 'eq', lt: 'ge', le: 'gt', gt: 'le', ge: 'lt' };

const exact = (v: Value): boolean => !isFloat(v.dtype);

export const arithmeticRules: readonly Rule[] = [
  // constants to the right
  rule(
    'constant-to-right',
    op('binary', 'n', splat('c'), any('x')),
    ({ n, x }) => isCommutative(n.attrs.fn) && splatValue(x) === null,
    ({ n, x }, { b }) => b.binary(n.attrs.fn, x, n.inputs[0]!),
  ),
  rule(
    'compare-constant-to-right',
    op('compare', 'n', splat('c'), any('x')),
    ({ x }) => splatValue(x) === null,
    ({ n, x }, { b }) => b.compare(exchanged[n.attrs.fn], x, n.inputs[0]!),
  ),

  // identities
  rule('add-zero', binary('add', any('x'), number(0)), null, ({ x }) => x),
  rule('sub-zero', binary('sub', any('x'), number(0)), null, ({ x }) => x),
  rule('zero-sub', binary('sub', number(0), any('x')), null, ({ x }, { b }) => b.neg(x)),
  rule('mul-one', binary('mul', any('x'), number(1)), null, ({ x }) => x),
  rule(
    'mul-minus-one',
    binary('mul', any('x'), number(-1)),
    ({ x }) => !isInteger(x.dtype) || x.dtype === 'int32',
    ({ x }, { b }) => b.neg(x),
  ),
  rule('div-one', binary('div', any('x'), number(1)), null, ({ x }) => x),
  rule(
    'mul-zero',
    binary('mul', any('x'), number(0)),
    ({ x }) => exact(x),
    (_, { node }) => node.inputs.find((v) => splatValue(v) === 0)!,
  ),
  rule(
    'sub-self',
    binary('sub', any('x'), any('x')),
    ({ x }) => exact(x),
    ({ x }, { b }) => b.full(x.shape, 0, x.dtype),
  ),
  rule('max-self', binary('max', any('x'), any('x')), null, ({ x }) => x),
  rule('min-self', binary('min', any('x'), any('x')), null, ({ x }) => x),
  rule('and-self', binary('and', any('x'), any('x')), null, ({ x }) => x),
  rule('or-self', binary('or', any('x'), any('x')), null, ({ x }) => x),
  rule(
    'and-true',
    binary('and', any('x'), number(1)),
    ({ x }) => x.dtype === 'bool',
    ({ x }) => x,
  ),
  rule('or-false', binary('or', any('x'), number(0)), null, ({ x }) => x),
  rule('neg-neg', unary('neg', unary('neg', any('x'))), null, ({ x }) => x),
  rule('not-not', unary('not', unary('not', any('x'))), null, ({ x }) => x),
  rule('add-neg', binary('add', any('x'), unary('neg', any('y'))), null, ({ x, y }, { b }) => b.sub(x, y)),
  rule('sub-neg', binary('sub', any('x'), unary('neg', any('y'))), null, ({ x, y }, { b }) => b.add(x, y)),
  rule(
    'neg-sub',
    unary('neg', binary('sub', any('x'), any('y'))),
    ({ x }, { node, uses }) => isFloat(x.dtype) && uses(node.inputs[0]!) === 1,
    ({ x, y }, { b }) => b.sub(y, x),
  ),
  rule(
    'abs-neg',
    unary('abs', unary('neg', any('x'))),
    ({ x }) => isFloat(x.dtype),
    ({ x }, { b }) => b.unary('abs', x),
  ),
  rule('abs-abs', unary('abs', unary('abs', any('x'))), null, ({ x }, { b }) => b.unary('abs', x)),

  // strength reduction
  rule(
    'div-power-of-two',
    binary('div', any('x'), splat('c', isPowerOfTwo)),
    ({ x, c }) => isFloat(x.dtype) && Math.abs(c) !== 1,
    ({ x, c }, { b }) => b.mul(x, 1 / c),
  ),
  rule('pow-zero', binary('pow', any('x'), number(0)), null, ({ x }, { b }) => b.full(x.shape, 1, x.dtype)),
  rule('pow-one', binary('pow', any('x'), number(1)), null, ({ x }) => x),
  rule('pow-two', binary('pow', any('x'), number(2)), null, ({ x }, { b }) => b.mul(x, x)),
  rule(
    'pow-three',
    binary('pow', any('x'), number(3)),
    ({ x }) => isFloat(x.dtype),
    ({ x }, { b }) => b.mul(b.mul(x, x), x),
  ),
  rule('pow-half', binary('pow', any('x'), number(0.5)), null, ({ x }, { b }) => b.sqrt(x)),
  rule('pow-minus-half', binary('pow', any('x'), number(-0.5)), null, ({ x }, { b }) => b.rsqrt(x)),
  rule(
    'pow-minus-one',
    binary('pow', any('x'), number(-1)),
    ({ x }) => isFloat(x.dtype),
    ({ x }, { b }) => b.unary('reciprocal', x),
  ),
  rule(
    'one-div',
    binary('div', number(1), any('x')),
    ({ x }) => isFloat(x.dtype),
    ({ x }, { b }) => b.unary('reciprocal', x),
  ),

  // select and compare
  rule('select-same', op('select', 'n', any('c'), any('x'), any('x')), null, ({ x }) => x),
  rule('select-constant', op('select', 'n', splat('c'), any('x'), any('y')), null, ({ c, x, y }) => (c ? x : y)),
  rule('select-not', op('select', 'n', unary('not', any('c')), any('x'), any('y')), null, ({ c, x, y }, { b }) => b.select(c, y, x)),
  rule(
    'select-bool',
    op('select', 'n', any('c'), number(1), number(0)),
    ({ n }) => n.outputs[0]!.dtype === 'bool',
    ({ c }) => c,
  ),
  rule(
    'not-compare',
    unary('not', op('compare', 'n')),
    ({ n }) => n.attrs.fn === 'eq' || n.attrs.fn === 'ne' || exact(n.inputs[0]!),
    ({ n }, { b }) => b.compare(opposite[n.attrs.fn], n.inputs[0]!, n.inputs[1]!),
  ),
  rule(
    'compare-self',
    op('compare', 'n', any('x'), any('x')),
    ({ x }) => exact(x),
    ({ n, x }, { b }) => b.full(x.shape, n.attrs.fn === 'eq' || n.attrs.fn === 'le' || n.attrs.fn === 'ge' ? 1 : 0, 'bool'),
  ),
  rule(
    'compare-bool-with-false',
    op('compare', 'n', any('x'), number(0)),
    ({ n, x }) => x.dtype === 'bool' && (n.attrs.fn === 'ne' || n.attrs.fn === 'eq'),
    ({ n, x }, { b }) => (n.attrs.fn === 'ne' ? x : b.not(x)),
  ),

  // casts
  rule(
    'cast-same',
    op('cast', 'n', any('x')),
    ({ n, x }) => n.attrs.dtype === x.dtype,
    ({ x }) => x,
  ),
  rule(
    'bitcast-same',
    op('bitcast', 'n', any('x')),
    ({ n, x }) => n.attrs.dtype === x.dtype,
    ({ x }) => x,
  ),
  rule(
    'cast-of-widening',
    op('cast', 'n', op('cast', 'inner', any('x'))),
    ({ inner, x }) => widens(x.dtype, inner.attrs.dtype),
    ({ n, x }, { b }) => b.cast(x, n.attrs.dtype),
  ),
  rule(
    'cast-to-bool-of-compare',
    op('compare', 'n', op('cast', 'c', any('x')), number(0)),
    ({ n, x }) => n.attrs.fn === 'ne' && x.dtype === 'bool',
    ({ x }) => x,
  ),
];
