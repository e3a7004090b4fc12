/**
 * Third part of the scan's gradient: sums over the steps without an accumulator. The cotangent of a parameter is a sum over steps of one value per step.
 * Where that value is linear in the last op, the sum moves outside: sum of dot(x_t, y_t) is one dot of the stacked factors that also contracts the step.
 */
import type { GraphBuilder } from '../builder.js';
import { type Dim, isStatic, mulDim } from '../dim.js';
import { isFloat } from '../dtype.js';
import type { NodeOf, Value } from '../graph.js';
import { constantScalar } from './elementwise-gradient.js';

/** A value outside the scans, available once they have been emitted. */
export type Later = () => Value;

export interface StepValues {
  /** Builder of the graph around the scan. */
  readonly b: GraphBuilder;
  /** Number of steps. */
  readonly length: Dim;
  /** Whether the value is the same at each step. */
  readonly isShared: (v: Value) => boolean;
  /** A shared value, outside. */
  readonly shared: (v: Value) => Value;
  /** All steps' values, the step as axis 0. */
  readonly stacked: (v: Value) => Later;
  /** Whether the value exists for each step outside the scan without extra work (a cotangent that came in). */
  readonly isOutside: (v: Value) => boolean;
}

const shift = (axes: readonly number[]): number[] => axes.map((a) => a + 1);

/** The sum of `v` over all steps, or null where an accumulator in the loop is the only way. */
export function sumOverSteps(s: StepValues, v: Value): Later | null {
  const { b } = s;
  if (s.isOutside(v)) {
    const all = s.stacked(v);
    return () => b.sum(all(), [0]);
  }
  const p = v.producer;
  if (!p || s.isShared(v)) return null;
  /** The same op on the sum of its input. */
  const linear = (x: Value, f: (sum: Value) => Value): Later | null => {
    const sum = sumOverSteps(s, x);
    return sum && (() => f(sum()));
  };
  const x = p.inputs[0]!;
  switch (p.op) {
    case 'dot':
      return sumOfDots(s, p);
    case 'conv':
      return sumOfConvs(s, p);
    case 'scatter':
      return sumOfScatters(s, p);
    case 'reduce': {
      if (p.attrs.fn !== 'sum') return null;
      const { axes } = p.attrs;
      const inner = sumOverSteps(s, x);
      if (inner) return () => b.sum(inner(), axes);
      const all = s.stacked(x);
      return () => b.sum(all(), [0, ...shift(axes)]);
    }
    case 'transpose':
      return linear(x, (sum) => b.transpose(sum, p.attrs.perm));
    case 'reshape':
      return linear(x, (sum) => b.reshape(sum, p.attrs.shape));
    case 'broadcast':
      return linear(x, (sum) => b.broadcast(sum, p.attrs.shape, p.attrs.axes));
    case 'slice':
    case 'reverse':
      return linear(x, (sum) => b.emit<'slice' | 'reverse'>(p.op, [sum], p.attrs));
    case 'pad':
      return p.attrs.value === 0 ? linear(x, (sum) => b.emit('pad', [sum], p.attrs)) : null;
    case 'cast':
      return isFloat(x.dtype) ? linear(x, (sum) => b.cast(sum, p.attrs.dtype)) : null;
    case 'unary':
      return p.attrs.fn === 'neg' ? linear(x, (sum) => b.neg(sum)) : null;
    case 'binary':
      return sumOfBinary(s, p);
    default:
      return null;
  }
}

function sumOfBinary(s: StepValues, p: NodeOf<'binary'>): Later | null {
  const { b } = s;
  const [x, y] = p.inputs as [Value, Value];
  const { fn } = p.attrs;
  if (fn === 'add' || fn === 'sub') {
    const [l, r] = [sumOverSteps(s, x), sumOverSteps(s, y)];
    return l && r && (() => b.binary(fn, l(), r()));
  }
  if (fn !== 'mul' && fn !== 'div') return null;
  if (s.isShared(y)) {
    const l = sumOverSteps(s, x);
    return l && (() => b.binary(fn, l(), s.shared(y)));
  }
  if (fn === 'mul' && s.isShared(x)) {
    const r = sumOverSteps(s, y);
    return r && (() => b.mul(s.shared(x), r()));
  }
  return null;
}

function sumOfDots(s: StepValues, p: NodeOf<'dot'>): Later | null {
  const { b } = s;
  const [x, y] = p.inputs as [Value, Value];
  if (s.isShared(x)) {
    const r = sumOverSteps(s, y);
    return r && (() => b.dot(s.shared(x), r(), p.attrs));
  }
  if (s.isShared(y)) {
    const l = sumOverSteps(s, x);
    return l && (() => b.dot(l(), s.shared(y), p.attrs));
  }
  const [l, r] = [s.stacked(x), s.stacked(y)];
  const { batchLeft, batchRight, contractLeft, contractRight } = p.attrs;
  return () =>
    b.dot(l(), r(), {
      batchLeft: shift(batchLeft),
      batchRight: shift(batchRight),
      contractLeft: [0, ...shift(contractLeft)],
      contractRight: [0, ...shift(contractRight)],
    });
}

/** The gradient of a kernel: the steps join the contracted features of both operands. */
function sumOfConvs(s: StepValues, p: NodeOf<'conv'>): Later | null {
  const { b } = s;
  const [x, k] = p.inputs as [Value, Value];
  const { dims, groups } = p.attrs;
  if (groups !== 1 || s.isShared(x) || s.isShared(k)) return null;
  if (!isStatic(s.length) && !isStatic(x.shape[dims.input.feature]!)) return null;
  const [xs, ks] = [s.stacked(x), s.stacked(k)];
  const merge = (v: Value, axis: number): Value => {
    const order = v.shape.map((_, i) => i).slice(1);
    const moved = b.transpose(
      v,
      order.flatMap((i) => (i === axis + 1 ? [0, i] : [i])),
    );
    return b.reshape(
      moved,
      order.map((i) => (i === axis + 1 ? mulDim(v.shape[0]!, v.shape[i]!) : v.shape[i]!)),
    );
  };
  return () => b.emit('conv', [merge(xs(), dims.input.feature), merge(ks(), dims.kernel.input)], p.attrs);
}

/** The gradient of a gather from a shared table: one scatter of all steps' updates. */
function sumOfScatters(s: StepValues, p: NodeOf<'scatter'>): Later | null {
  const { b } = s;
  const [zeros, indices, updates] = p.inputs as [Value, Value, Value];
  const { axis, fn } = p.attrs;
  if (fn !== 'add' || constantScalar(zeros) !== 0 || s.isShared(updates) || s.isShared(indices)) return null;
  const [is, us] = [s.stacked(indices), s.stacked(updates)];
  return () => {
    const rank = updates.shape.length;
    const toAxis = [...Array.from({ length: axis }, (_, i) => i + 1), 0, ...Array.from({ length: rank - axis }, (_, i) => axis + i + 1)];
    return b.emit('scatter', [s.shared(zeros), is(), b.transpose(us(), toAxis)], p.attrs);
  };
}

/** All steps' values of `v` computed at once outside where it is a dot with a shared operand; else as they are stacked by a scan. */
export function stackOutside(s: StepValues, v: Value): Later {
  const { b } = s;
  const p = v.producer;
  if (p?.op !== 'dot' || s.isOutside(v)) return s.stacked(v);
  const [x, y] = p.inputs as [Value, Value];
  if (s.isShared(x) === s.isShared(y)) return s.stacked(v);
  const onLeft = s.isShared(y);
  const all = s.stacked(onLeft ? x : y);
  const { batchLeft, batchRight, contractLeft, contractRight } = p.attrs;
  const freeLeft = x.shape.length - batchLeft.length - contractLeft.length;
  /** Where the step comes out: first free axis of its operand. */
  const at = batchLeft.length + (onLeft ? 0 : freeLeft);
  return () => {
    const d = onLeft
      ? b.dot(all(), s.shared(y), { batchLeft: shift(batchLeft), batchRight, contractLeft: shift(contractLeft), contractRight })
      : b.dot(s.shared(x), all(), { batchLeft, batchRight: shift(batchRight), contractLeft, contractRight: shift(contractRight) });
    return b.transpose(d, [at, ...d.shape.map((_, i) => i).filter((i) => i !== at)]);
  };
}
