/** Elementwise ops: output i from inputs i, all of one shape. */
import { AttrReader, attrText } from '../attr-text.js';
import { equalShape, shapeToString } from '../dim.js';
import { type DType, hostArray, isBigArray, isFloat, isInteger, isWide, storageBytes, toWide } from '../dtype.js';
import { InternalError } from '../errors.js';
import type { TensorType } from '../graph.js';
import { typeToString } from '../graph.js';
import { type AxesMap, defineOp } from '../op.js';
import { type BinaryFunction, binaryFunctions, compareFunctions, type UnaryFunction, unaryFunctions } from '../op-attrs.js';
import { numberData, type TensorData } from '../tensor-data.js';
import { type DTypeClass, expectDType, expectInputs, expectSameTypes, fail, sameAxes } from './check.js';
import { binaryGradient, castGradient, selectGradient, unaryGradient } from './elementwise-gradient.js';
import { allocateAny, allocateFor, fill, fromHalfBits, halfBits, roundFloat } from './loops.js';
import { binaryScalar, castScalar, compareScalar, unaryScalar, wideBinary, wideCompare, wideUnary } from './scalar.js';
import { bigOf, moving, wideElements } from './wide.js';

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
    if (isWide(x!.dtype)) {
      const [f, data] = [wideUnary[fn]!, bigOf(x!)];
      return [wideElements(type!, bindings, (i) => f(data[i]!))];
    }
    const f = unaryScalar[fn];
    const { data } = numberData(x!);
    return [fill(allocateFor(type!, bindings), (i) => f(data[i]!))];
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
    if (isWide(type!.dtype)) {
      const [f, x, y] = [wideBinary[fn]!, bigOf(a!), bigOf(b!)];
      return [wideElements(type!, bindings, (i) => f(x[i]!, y[i]!))];
    }
    const f = binaryScalar(fn, type!.dtype);
    const [x, y] = [numberData(a!).data, numberData(b!).data];
    return [fill(allocateFor(type!, bindings), (i) => f(x[i]!, y[i]!))];
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
    if (isWide(a!.dtype)) {
      const [f, x, y] = [wideCompare[fn], bigOf(a!), bigOf(b!)];
      return [fill(allocateFor(type!, bindings), (i) => (f(x[i]!, y[i]!) ? 1 : 0))];
    }
    const f = compareScalar[fn];
    const [x, y] = [numberData(a!).data, numberData(b!).data];
    return [fill(allocateFor(type!, bindings), (i) => (f(x[i]!, y[i]!) ? 1 : 0))];
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
  evaluate: moving(([c, a, b], _attrs, [type], { bindings }) => [fill(allocateFor(type!, bindings), (i) => (c!.data[i] ? a! : b!).data[i]!)]),
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
    const { data } = x!;
    if (isWide(dtype))
      return [wideElements(type!, bindings, isBigArray(data) ? (i) => data[i]! : isFloat(x!.dtype) ? (i) => toWide(dtype, data[i]!) : (i) => BigInt(data[i]!))];
    const f = castScalar(x!.dtype, dtype);
    // The low bits, so that narrower integers wrap and do not meet numbers that are not exact.
    const exact = isInteger(dtype) ? (v: bigint) => Number(BigInt.asIntN(32, v)) : Number;
    return [fill(allocateFor(type!, bindings), isBigArray(data) ? (i) => f(exact(data[i]!)) : (i) => f(data[i]!))];
  },
  gradient: castGradient,
  axes: pointwise,
  print: ({ dtype }) => attrText({ dtype }),
  parse: (attrs) => ({ dtype: new AttrReader(attrs).dtype('dtype') }),
});

/** The stored form of the elements; float16 and bfloat16 as their 16 bits. */
function bitsToBytes(t: TensorData): DataView {
  const { dtype } = t;
  if (dtype !== 'float16' && dtype !== 'bfloat16') return new DataView(hostArray(dtype, t.data).buffer);
  return new DataView(Uint16Array.from(numberData(t).data, (v) => halfBits(dtype, roundFloat(dtype, v))).buffer);
}

function elementFromBytes(dtype: DType, bytes: DataView, at: number): number {
  switch (dtype) {
    case 'float16':
    case 'bfloat16':
      return fromHalfBits(dtype, bytes.getUint16(at, true));
    case 'float32':
      return bytes.getFloat32(at, true);
    case 'float64':
      return bytes.getFloat64(at, true);
    case 'int32':
      return bytes.getInt32(at, true);
    case 'uint32':
      return bytes.getUint32(at, true);
    case 'int16':
      return bytes.getInt16(at, true);
    case 'uint16':
      return bytes.getUint16(at, true);
    case 'int8':
      return bytes.getInt8(at);
    case 'uint8':
      return bytes.getUint8(at);
    default:
      throw new InternalError(`bitcast to ${dtype}`);
  }
}

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
    const out = allocateAny(type!, bindings);
    const bytes = bitsToBytes(x!);
    const to = out.data;
    for (let i = 0; i < to.length; i++) {
      const at = i * storageBytes[dtype];
      if (isBigArray(to)) to[i] = bytes.getBigInt64(at, true);
      else to[i] = elementFromBytes(dtype, bytes, at);
    }
    return [out];
  },
  gradient: { none: 'bits have no derivative' },
  axes: pointwise,
  print: ({ dtype }) => attrText({ dtype }),
  parse: (attrs) => ({ dtype: new AttrReader(attrs).dtype('dtype') }),
});
