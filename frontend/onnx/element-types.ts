/** The element types of ONNX, by number: name, and the type that Tenon computes with (null: not supported). Those of small-types.ts are carried by wider ones. */
import type { DType } from '../../ir/dtype.js';
import { UnsupportedError } from '../../ir/errors.js';

interface ElementType {
  readonly name: string;
  readonly dtype: DType | null;
  /** Bits of one element in raw data; 0 where elements have no fixed size. */
  readonly bits: number;
}

const table: Readonly<Record<number, ElementType>> = {
  1: { name: 'float', dtype: 'float32', bits: 32 },
  2: { name: 'uint8', dtype: 'uint8', bits: 8 },
  3: { name: 'int8', dtype: 'int8', bits: 8 },
  4: { name: 'uint16', dtype: 'uint16', bits: 16 },
  5: { name: 'int16', dtype: 'int16', bits: 16 },
  6: { name: 'int32', dtype: 'int32', bits: 32 },
  7: { name: 'int64', dtype: 'int64', bits: 64 },
  8: { name: 'string', dtype: null, bits: 0 },
  9: { name: 'bool', dtype: 'bool', bits: 8 },
  10: { name: 'float16', dtype: 'float16', bits: 16 },
  11: { name: 'double', dtype: 'float64', bits: 64 },
  12: { name: 'uint32', dtype: 'uint32', bits: 32 },
  13: { name: 'uint64', dtype: 'uint64', bits: 64 },
  14: { name: 'complex64', dtype: null, bits: 64 },
  15: { name: 'complex128', dtype: null, bits: 128 },
  16: { name: 'bfloat16', dtype: 'bfloat16', bits: 16 },
  17: { name: 'float8e4m3fn', dtype: 'float32', bits: 8 },
  18: { name: 'float8e4m3fnuz', dtype: 'float32', bits: 8 },
  19: { name: 'float8e5m2', dtype: 'float32', bits: 8 },
  20: { name: 'float8e5m2fnuz', dtype: 'float32', bits: 8 },
  21: { name: 'uint4', dtype: 'uint8', bits: 4 },
  22: { name: 'int4', dtype: 'int8', bits: 4 },
  23: { name: 'float4e2m1', dtype: 'float32', bits: 4 },
  24: { name: 'float8e8m0', dtype: 'float32', bits: 8 },
  25: { name: 'uint2', dtype: 'uint8', bits: 2 },
  26: { name: 'int2', dtype: 'int8', bits: 2 },
  27: { name: 'float6e2m3', dtype: null, bits: 6 },
  28: { name: 'float6e3m2', dtype: null, bits: 6 },
};

/** ONNX's number of a type. */
export const elementType = {
  float: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  uint32: 12,
  uint64: 13,
  bfloat16: 16,
} as const;

export const elementName = (t: number): string => table[t]?.name ?? `element type ${t}`;
/** ONNX's number for a name of the table. */
export const elementNumber = (name: string): number => Number(Object.keys(table).find((k) => table[Number(k)]!.name === name));
export const elementBits = (t: number): number => table[t]?.bits ?? 0;

/** The type that Tenon computes with; throws UnsupportedError for types that it has not. */
export function dtypeOf(t: number, where: string): DType {
  const known = table[t];
  if (!known) throw new UnsupportedError(`${where}: element type ${t} is not a type of ONNX that this version knows`);
  if (known.dtype === null) throw new UnsupportedError(`${where}: tensors of ${known.name} are not supported`);
  return known.dtype;
}

export const isSupportedType = (t: number): boolean => (table[t]?.dtype ?? null) !== null;

/** ONNX's number for a type of Tenon. */
export function elementTypeOf(dtype: DType): number {
  return Number(Object.keys(table).find((k) => table[Number(k)]!.dtype === dtype));
}
