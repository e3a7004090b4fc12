/** Elementwise ops: output i from inputs i, all of one shape. */
import { AttrReader, attrText } from '../attr-text.js';
import { equalShape, shapeToString } from '../dim.js';
import { hostArray, storageBytes, type TypedArray } from '../dtype.js';
import { UnsupportedError } from '../errors.js';
import type { TensorType } from '../graph.js';
import { typeToString } from '../graph.js';
import { type AxesMap, defineOp } from '../op.js';
import { type BinaryFunction, binaryFunctions, compareFunctions, type UnaryFunction, unaryFunctions } from '../op-attrs.js';
import { type DTypeClass, expectDType, expectInputs, expectSameTypes, fail, sameAxes } from './check.js';
import { binaryGradient, castGradient, selectGradient, unaryGradient } from './elementwise-gradient.js';
import { allocateFor, fill } from './loops.js';
import { binaryScalar, castScalar, compareScalar, unaryScalar } from './scalar.js';

const pointwise = (inputs: readonly TensorType[]): AxesMap => inputs.map((t) => sameAxes(t));

const unaryClass = (fn: UnaryFunction): DTypeClass => {
  switch (fn) {
    case 'neg':
    case 'abs':
    case 'sign':
      return 'number';
    case 'not':
      return 'bool';
    case 'bitwise_not':
      return 'integer';
    default:
      return 'float';
  }
};

export const unary = defineOp({
  name: 'unary',
  kind: 'elementwise',
  infer: (inputs, { fn }) => {
    expectInputs(fn, inputs, 1);
    const x = inputs[0]!;
    expectDType(fn, x, unaryClass(fn));
    return [{ dtype: fn === 'is_nan' || fn === 'is_inf' ? 'bool' : x.dtype, shape: x.shape }];
  },
  evaluate: ([x], { fn }, [type], { bindings }) => {
    const f = unaryScalar[fn];
    return [fill(allocateFor(type!, bindings), (i) => f(x!.data[i]!))];
  },
  gradient: unaryGradient,
  axes: pointwise,
  print: ({ fn }) => attrText({ fn }),
  parse: (attrs) => ({ fn: new AttrReader(attrs).word('fn', unaryFunctions) }),
});

const binaryClass = (fn: BinaryFunction): DTypeClass => {
  switch (fn) {
    case 'and':
    case 'or':
    case 'xor':
      return 'logical';
    case 'shift_left':
    case 'shift_right':
      return 'integer';
    case 'atan2':
      return 'float';
    default:
      return 'number';
  }
};

export const binary = defineOp({
  name: 'binary',
  kind: 'elementwise',
  infer: (inputs, { fn }) => {
    expectInputs(fn, inputs, 2);
    expectSameTypes(fn, inputs);
    expectDType(fn, inputs[0]!, binaryClass(fn));
    return [{ dtype: inputs[0]!.dtype, shape: inputs[0]!.shape }];
  },
  evaluate: ([a, b], { fn }, [type], { bindings }) => {
    const f = binaryScalar(fn, type!.dtype);
    return [fill(allocateFor(type!, bindings), (i) => f(a!.data[i]!, b!.data[i]!))];
  },
  gradient: binaryGradient,
  axes: pointwise,
  print: ({ fn }) => attrText({ fn }),
  parse: (attrs) => ({ fn: new AttrReader(attrs).word('fn', binaryFunctions) }),
});

export const compare = defineOp({
  name: 'compare',
  kind: 'elementwise',
  infer: (inputs, { fn }) => {
    expectInputs(`compare ${fn}`, inputs, 2);
    expectSameTypes(`compare ${fn}`, inputs);
    if (fn !== 'eq' && fn !== 'ne') expectDType(`compare ${fn}`, inputs[0]!, 'number');
    return [{ dtype: 'bool', shape: inputs[0]!.shape }];
  },
  evaluate: ([a, b], { fn }, [type], { bindings }) => {
    const f = compareScalar[fn];
    return [fill(allocateFor(type!, bindings), (i) => (f(a!.data[i]!, b!.data[i]!) ? 1 : 0))];
  },
  gradient: { none: 'its result is a bool' },
  axes: pointwise,
  print: ({ fn }) => attrText({ fn }),
  parse: (attrs) => ({ fn: new AttrReader(attrs).word('fn', compareFunctions) }),
});

export const select = defineOp({
  name: 'select',
  kind: 'elementwise',
  infer: (inputs) => {
    expectInputs('select', inputs, 3);
    const [condition, a, b] = inputs as [TensorType, TensorType, TensorType];
    expectDType('select', condition, 'bool');
    expectSameTypes('select', [a, b]);
    if (!equalShape(condition.shape, a.shape))
      fail('select', `the condition has shape ${shapeToString(condition.shape)}, the branches ${shapeToString(a.shape)}`);
    return [{ dtype: a.dtype, shape: a.shape }];
  },
  evaluate: ([c, a, b], _attrs, [type], { bindings }) => [fill(allocateFor(type!, bindings), (i) => (c!.data[i] ? a! : b!).data[i]!)],
  gradient: selectGradient,
  axes: pointwise,
  print: () => '',
  parse: () => ({}),
});

export const cast = defineOp({
  name: 'cast',
  kind: 'elementwise',
  infer: (inputs, { dtype }) => {
    expectInputs('cast', inputs, 1);
    return [{ dtype, shape: inputs[0]!.shape }];
  },
  evaluate: ([x], { dtype }, [type], { bindings }) => {
    const f = castScalar(x!.dtype, dtype);
    return [fill(allocateFor(type!, bindings), (i) => f(x!.data[i]!))];
  },
  gradient: castGradient,
  axes: pointwise,
  print: ({ dtype }) => attrText({ dtype }),
  parse: (attrs) => ({ dtype: new AttrReader(attrs).dtype('dtype') }),
});

export const bitcast = defineOp({
  name: 'bitcast',
  kind: 'elementwise',
  infer: (inputs, { dtype }) => {
    expectInputs('bitcast', inputs, 1);
    const x = inputs[0]!;
    expectDType('bitcast', x, 'number');
    if (dtype === 'bool' || storageBytes[dtype] !== storageBytes[x.dtype])
      fail('bitcast', `${typeToString(x)} cannot be seen as ${dtype}: the sizes of their elements differ`);
    return [{ dtype, shape: x.shape }];
  },
  evaluate: ([x], { dtype }, [type], { bindings }) => {
    const bits = hostArray(x!.dtype, x!.data);
    const view = x!.dtype === 'float16' || dtype === 'float16' ? null : hostArray(dtype, 0);
    if (view === null) throw new UnsupportedError('bitcast of float16 has no reference evaluation: the host holds float16 as float32');
    const Ctor = view.constructor as new (b: ArrayBufferLike) => TypedArray;
    const seen = new Ctor(bits.buffer);
    return [fill(allocateFor(type!, bindings), (i) => seen[i]!)];
  },
  gradient: { none: 'bits have no derivative' },
  axes: pointwise,
  print: ({ dtype }) => attrText({ dtype }),
  parse: (attrs) => ({ dtype: new AttrReader(attrs).dtype('dtype') }),
});
