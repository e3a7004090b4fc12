/** Elementwise primitives. ONNX broadcasts by itself: a broadcast operand is written in its own size, lifted to the rank of the result. */
import { equalDim, isStatic, type Shape } from '../../../../ir/dim.js';
import { UnsupportedError } from '../../../../ir/errors.js';
import type { NodeOf, Value } from '../../../../ir/graph.js';
import type { BinaryFunction, CompareFunction, UnaryFunction } from '../../../../ir/op-attrs.js';
import { elementNumber } from '../proto.js';
import type { Static } from '../static.js';
import { type Attrs, channelsFirstPerm, type Form, shapeIn, transposed, type Writer } from '../writer.js';
import { biasOf, writeConvWithBias, writeGemm } from './contraction.js';

/** What a broadcast spreads: the source, and which axis of the result each of its axes is. Null: not a broadcast, or one that is written already. */
function sourceOf(w: Writer, v: Value): { readonly x: Value; readonly axes: readonly number[] } | null {
  const o = w.resolve(v);
  if (w.isDefined(o) || w.static(o)) return null;
  const p = o.producer;
  if (p?.op !== 'broadcast') return null;
  return { x: p.inputs[0]!, axes: p.attrs.axes };
}

/** An operand's name and its shape as it is written (1 where it is spread), in a form. */
function operand(w: Writer, v: Value, form: Form): { readonly name: string; readonly shape: Shape } {
  const rank = v.shape.length;
  const source = sourceOf(w, v);
  const number = source ? w.number(v) : null;
  if (source && number !== null) return { name: w.scalar(number, v.dtype), shape: v.shape.map(() => 1) };
  if (!source) return { name: w.name(v, rank < 3 ? 'plain' : form), shape: shapeIn(rank < 3 ? 'plain' : form, v.shape) };
  const { x, axes } = source;
  const lifted: Shape = v.shape.map((_, a) => (axes.includes(a) ? x.shape[axes.indexOf(a)]! : 1));
  const shape = shapeIn(form, lifted);
  const known = w.static(x);
  if (known) {
    let s: Static = { ...known, shape: lifted as number[], key: `${known.key} as ${lifted.join(',')}` };
    if (form === 'channelsFirst') s = transposed(s, channelsFirstPerm(rank));
    // leading ones say nothing
    const first = s.shape.findIndex((d) => d !== 1);
    const kept = first < 0 ? [] : s.shape.slice(first);
    const sameShape = kept.length === known.shape.length && kept.every((d, i) => d === known.shape[i]);
    return { name: sameShape && form === 'plain' ? w.name(x) : w.initializer({ ...s, shape: kept, key: `${s.key} cut` }), shape };
  }
  if (x.shape.length === rank) return { name: w.name(x, form), shape };
  // trailing axes line up by themselves
  const trailing = axes.every((a, i) => a === rank - axes.length + i);
  if (form === 'plain' && trailing) return { name: w.name(x), shape };
  return { name: w.reshaped(w.name(x), x.shape, shape, `${v.producer?.origin || 'value'}/expanded`), shape };
}

/** The form for an op on values of one shape: channels first where an operand is there in that form alone. */
export function formFor(w: Writer, list: readonly Value[]): Form {
  if (list[0]!.shape.length < 3) return 'plain';
  return list.some((v) => !sourceOf(w, v) && !w.static(v) && w.formOf(v) === 'channelsFirst') ? 'channelsFirst' : 'plain';
}

const spreads = (shapes: readonly Shape[], to: Shape): boolean => to.every((d, i) => (isStatic(d) && d === 1) || shapes.some((s) => equalDim(s[i]!, d)));

/** Names of operands of one shape, of which at least one is written whole. */
function operands(w: Writer, list: readonly Value[], form: Form): string[] {
  const target = shapeIn(form, list[0]!.shape);
  const found = list.map((v) => operand(w, v, form));
  if (
    spreads(
      found.map((f) => f.shape),
      target,
    )
  )
    return found.map((f) => f.name);
  return list.map((v, i) => (i === 0 ? w.name(v, form) : found[i]!.name));
}

const unaryOps: Readonly<Record<UnaryFunction, string | null>> = {
  neg: 'Neg',
  abs: 'Abs',
  sign: 'Sign',
  floor: 'Floor',
  ceil: 'Ceil',
  round: 'Round',
  exp: 'Exp',
  expm1: null,
  log: 'Log',
  log1p: null,
  sqrt: 'Sqrt',
  rsqrt: null,
  reciprocal: 'Reciprocal',
  sin: 'Sin',
  cos: 'Cos',
  tan: 'Tan',
  asin: 'Asin',
  acos: 'Acos',
  atan: 'Atan',
  sinh: 'Sinh',
  cosh: 'Cosh',
  tanh: 'Tanh',
  asinh: 'Asinh',
  acosh: 'Acosh',
  atanh: 'Atanh',
  sigmoid: 'Sigmoid',
  erf: 'Erf',
  not: 'Not',
  bitwise_not: 'BitwiseNot',
  is_nan: 'IsNaN',
  is_inf: 'IsInf',
};

export function writeUnary(w: Writer, node: NodeOf<'unary'>) {
  const [x, y] = [node.inputs[0]!, node.outputs[0]!];
  const form = formFor(w, [x]);
  const name = w.name(x, form);
  const { fn } = node.attrs;
  const hint = node.origin;
  switch (fn) {
    case 'expm1':
      return w.emit(y, 'Sub', [w.node('Exp', [name], {}, { hint })[0]!, w.scalar(1, x.dtype)], {}, form);
    case 'log1p':
      return w.emit(y, 'Log', w.node('Add', [name, w.scalar(1, x.dtype)], {}, { hint }), {}, form);
    case 'rsqrt':
      return w.emit(y, 'Reciprocal', w.node('Sqrt', [name], {}, { hint }), {}, form);
    case 'bitwise_not':
      if (w.opset < 18) throw new UnsupportedError(`${node.origin}: bitwise operations need opset 18 or newer, not ${w.opset}`);
      break;
    default:
  }
  w.emit(y, unaryOps[fn]!, [name], {}, form);
}

const binaryOps: Readonly<Record<BinaryFunction, string | null>> = {
  add: 'Add',
  sub: 'Sub',
  mul: 'Mul',
  div: 'Div',
  rem: 'Mod',
  pow: 'Pow',
  max: 'Max',
  min: 'Min',
  atan2: null,
  and: 'And',
  or: 'Or',
  xor: 'Xor',
  shift_left: 'BitShift',
  shift_right: 'BitShift',
};

export function writeBinary(w: Writer, node: NodeOf<'binary'>) {
  const y = node.outputs[0]!;
  const { fn } = node.attrs;
  if (fn === 'add') {
    const found = biasOf(w, node);
    if (found?.node.op === 'conv') return writeConvWithBias(w, found.node, found.bias, y);
    if (found?.node.op === 'dot' && writeGemm(w, found.node, found.bias, y)) return;
  }
  const form = formFor(w, node.inputs);
  const [a, b] = operands(w, node.inputs, form) as [string, string];
  const integer = node.inputs[0]!.dtype !== 'bool' && (fn === 'and' || fn === 'or' || fn === 'xor');
  if (integer && w.opset < 18) throw new UnsupportedError(`${node.origin}: bitwise operations need opset 18 or newer, not ${w.opset}`);
  if (fn === 'atan2') {
    w.define(y, atan2(w, a, b, node.origin), form);
    return;
  }
  const attrs: Attrs = fn === 'rem' ? { fmod: 1 } : fn === 'shift_left' ? { direction: 'LEFT' } : fn === 'shift_right' ? { direction: 'RIGHT' } : {};
  w.emit(y, integer ? `Bitwise${binaryOps[fn]}` : binaryOps[fn]!, [a, b], attrs, form);
}

/** The angle of (x, y): atan(y / x), moved by pi in the left half; at x = 0 a quarter turn. */
function atan2(w: Writer, y: string, x: string, origin: string): string {
  const hint = `${origin}/atan2`;
  const n = (op: string, ...inputs: string[]): string => w.node(op, inputs, {}, { hint })[0]!;
  const c = (v: number): string => w.scalar(v, 'float32');
  const half = n('Mul', n('Sign', y), c(Math.PI / 2));
  const turn = n('Where', n('Less', y, c(0)), c(-Math.PI), c(Math.PI));
  const slope = n('Atan', n('Div', y, n('Where', n('Equal', x, c(0)), c(1), x)));
  return n('Where', n('Equal', x, c(0)), half, n('Where', n('Less', x, c(0)), n('Add', slope, turn), slope));
}

const compareOps: Readonly<Record<CompareFunction, string>> = { eq: 'Equal', ne: 'Equal', lt: 'Less', le: 'LessOrEqual', gt: 'Greater', ge: 'GreaterOrEqual' };

export function writeCompare(w: Writer, node: NodeOf<'compare'>) {
  const y = node.outputs[0]!;
  const form = formFor(w, node.inputs);
  const names = operands(w, node.inputs, form);
  const { fn } = node.attrs;
  if (fn === 'ne') w.emit(y, 'Not', w.node('Equal', names, {}, { hint: node.origin }), {}, form);
  else w.emit(y, compareOps[fn], names, {}, form);
}

/** max(x, 0) as the graph has it: x <= 0 ? 0 : x. */
function reluInput(w: Writer, node: NodeOf<'select'>): Value | null {
  const [condition, zero, x] = node.inputs as readonly [Value, Value, Value];
  const c = w.resolve(condition).producer;
  if (c?.op !== 'compare' || c.attrs.fn !== 'le' || w.resolve(c.inputs[0]!) !== w.resolve(x)) return null;
  return w.number(c.inputs[1]!) === 0 && w.number(zero) === 0 ? x : null;
}

export function writeSelect(w: Writer, node: NodeOf<'select'>) {
  const y = node.outputs[0]!;
  const x = y.dtype === 'float32' ? reluInput(w, node) : null;
  if (x) {
    const form = formFor(w, [x]);
    return w.emit(y, 'Relu', [w.name(x, form)], {}, form);
  }
  const form = formFor(w, node.inputs);
  w.emit(y, 'Where', operands(w, node.inputs, form), {}, form);
}

export function writeCast(w: Writer, node: NodeOf<'cast'>) {
  const x = node.inputs[0]!;
  const form = formFor(w, [x]);
  w.emit(node.outputs[0]!, 'Cast', [w.name(x, form)], { to: elementNumber(node.attrs.dtype) }, form);
}
