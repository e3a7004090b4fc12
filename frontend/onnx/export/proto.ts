/** Messages of ONNX files, made: nodes, attributes, tensors, types of values. */
import { isStatic, type Shape } from '../../../ir/dim.js';
import type { DType, HostArray } from '../../../ir/dtype.js';
import { UnsupportedError } from '../../../ir/errors.js';
import { elementType } from '../element-types.js';
import type { AttributeProto, GraphProto, TensorProto, TensorShapeDimension, ValueInfoProto } from '../schema/types.js';
import { halfOf } from '../tensors.js';

/** What an attribute may be given as; whole numbers are ints unless they are in `real`. */
export type AttrGiven = number | string | readonly number[] | readonly string[] | Real | GraphProto;

/** A float attribute, or a list of them. */
export class Real {
  constructor(readonly value: number | readonly number[]) {}
}
export const real = (value: number | readonly number[]): Real => new Real(value);

const utf8 = new TextEncoder();

function attribute(name: string, given: AttrGiven): AttributeProto {
  if (given instanceof Real) return typeof given.value === 'number' ? { name, f: given.value, type: 1 } : { name, floats: [...given.value], type: 6 };
  if (typeof given === 'number') return { name, i: given, type: 2 };
  if (typeof given === 'string') return { name, s: utf8.encode(given), type: 3 };
  if (!Array.isArray(given)) return { name, g: given as GraphProto, type: 5 };
  const list = given as readonly (number | string)[];
  if (list.some((x) => typeof x === 'string')) return { name, strings: list.map((x) => utf8.encode(String(x))), type: 8 };
  return { name, ints: list as number[], type: 7 };
}

export const attributes = (given: Readonly<Record<string, AttrGiven | null>>): AttributeProto[] =>
  Object.entries(given).flatMap(([name, v]) => (v === null ? [] : [attribute(name, v)]));

const numbers: Readonly<Record<DType, number>> = {
  float32: elementType.float,
  float64: elementType.double,
  float16: elementType.float16,
  bfloat16: elementType.bfloat16,
  int8: elementType.int8,
  uint8: elementType.uint8,
  int16: elementType.int16,
  uint16: elementType.uint16,
  int32: elementType.int32,
  uint32: elementType.uint32,
  int64: elementType.int64,
  uint64: 13,
  bool: elementType.bool,
};

/** ONNX's number of a type. */
export const elementNumber = (dtype: DType): number => numbers[dtype];

/** Elements as they lie in files: little-endian, 16-bit floats in 16 bits, bools in bytes. */
function rawBytes(dtype: DType, data: HostArray): Uint8Array {
  switch (dtype) {
    case 'float16':
      return new Uint8Array(Uint16Array.from(data as Float32Array, halfOf).buffer);
    case 'bfloat16': {
      const bits = new Uint32Array(Float32Array.from(data as Float32Array).buffer);
      return new Uint8Array(Uint16Array.from(bits, (b) => (b + 0x7fff + ((b >>> 16) & 1)) >>> 16).buffer);
    }
    case 'bool':
      return Uint8Array.from(data as Uint8Array, (x) => (x ? 1 : 0));
    default:
      return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
}

export function tensorProto(name: string, dtype: DType, shape: readonly number[], data: HostArray): TensorProto {
  return { name, dims: [...shape], data_type: elementNumber(dtype), raw_data: rawBytes(dtype, data) };
}

/** A dimension: a number, the name of a symbol; empty where it is a formula of symbols. */
function dimension(d: Shape[number]): TensorShapeDimension {
  if (isStatic(d)) return { dim_value: d };
  const text = String(d);
  return /^[A-Za-z_]\w*$/.test(text) ? { dim_param: text } : {};
}

export const valueInfo = (name: string, dtype: DType, shape: Shape): ValueInfoProto => ({
  name,
  type: { tensor_type: { elem_type: elementNumber(dtype), shape: { dim: shape.map(dimension) } } },
});

/** The lowest IR version that may hold each opset, from opset 13 on. */
const irOf: Readonly<Record<number, number>> = {
  13: 7,
  14: 7,
  15: 8,
  16: 8,
  17: 8,
  18: 8,
  19: 9,
  20: 9,
  21: 10,
  22: 10,
  23: 11,
  24: 12,
  25: 13,
  26: 13,
  27: 13,
  28: 14,
};
export const opsets = { lowest: 13, usual: 17, highest: 28 } as const;

export function irVersionOf(opset: number): number {
  const ir = irOf[opset];
  if (ir === undefined) throw new UnsupportedError(`onnx: opset ${opset} cannot be written; expected ${opsets.lowest} to ${opsets.highest}`);
  return ir;
}
