/**
 * Element types of 8 bits and fewer that the IR has not: float8 in four forms, float8e8m0, float4e2m1, and integers of 4 and 2 bits. Their values are carried by float32, int8 and uint8
 * (`dtypeOf` of element-types.ts says which), and each op that makes one rounds to what the type has; the importer remembers which values are of such a type.
 * Source: the tables of the ONNX pages on float stored in 8 and 4 bits, and Cast-25.
 */
import { numbersOf } from '../../ir/dtype.js';
import type { TensorData } from '../../ir/tensor-data.js';

/** A type of the form sign, exponent, mantissa. */
export interface SmallFloat {
  readonly mantissa: number;
  /** Of the exponent. The smallest normal number is 2 ** (1 - bias). */
  readonly bias: number;
  readonly max: number;
  /** What the type has for numbers beyond `max`, where they are not saturated. */
  readonly beyond: 'nan' | 'infinity' | 'max';
  /** The code of -0 is that of NaN. */
  readonly unsignedZero: boolean;
}

const floats: Readonly<Record<number, SmallFloat>> = {
  17: { mantissa: 3, bias: 7, max: 448, beyond: 'nan', unsignedZero: false },
  18: { mantissa: 3, bias: 8, max: 240, beyond: 'nan', unsignedZero: true },
  19: { mantissa: 2, bias: 15, max: 57344, beyond: 'infinity', unsignedZero: false },
  20: { mantissa: 2, bias: 16, max: 57344, beyond: 'nan', unsignedZero: true },
  23: { mantissa: 1, bias: 1, max: 6, beyond: 'max', unsignedZero: false },
};

export interface SmallInteger {
  readonly bits: 2 | 4;
  readonly signed: boolean;
}

const integers: Readonly<Record<number, SmallInteger>> = {
  21: { bits: 4, signed: false },
  22: { bits: 4, signed: true },
  25: { bits: 2, signed: false },
  26: { bits: 2, signed: true },
};

/** ONNX's number of float8e8m0: powers of two from 2^-127 to 2^127, and NaN; no sign and no zero. */
export const powerType = 24;

export const smallFloat = (t: number): SmallFloat | undefined => floats[t];
export const smallInteger = (t: number): SmallInteger | undefined => integers[t];
export const isSmallType = (t: number): boolean => t === powerType || t in floats || t in integers;

export const smallLimits = ({ bits, signed }: SmallInteger): { readonly lowest: number; readonly highest: number } =>
  signed ? { lowest: -(2 ** (bits - 1)), highest: 2 ** (bits - 1) - 1 } : { lowest: 0, highest: 2 ** bits - 1 };

/** The value of a code of a float type. */
export function decodeSmall(t: number, code: number): number {
  if (t === powerType) return code === 255 ? Number.NaN : 2 ** (code - 127);
  const { mantissa, bias, beyond, unsignedZero } = floats[t]!;
  const signBit = t === 23 ? 8 : 128;
  const magnitude = code & (signBit - 1);
  const exponent = magnitude >> mantissa;
  const m = magnitude & (2 ** mantissa - 1);
  if (unsignedZero) {
    if (code === signBit) return Number.NaN;
  } else if (beyond === 'infinity' && exponent === 31) return m ? Number.NaN : code & signBit ? -Infinity : Infinity;
  else if (beyond === 'nan' && magnitude === signBit - 1) return Number.NaN;
  const size = exponent === 0 ? m * 2 ** (1 - bias - mantissa) : (1 + m * 2 ** -mantissa) * 2 ** (exponent - bias);
  return code & signBit ? -size : size;
}

const tables = new Map<number, ReadonlySet<number>>();

/** The first element that is no value of the type; null where all are. */
export function strangerIn(t: number, data: TensorData['data']): number | null {
  let values = tables.get(t);
  if (!values) {
    const i = integers[t];
    const codes = Array.from({ length: t === 23 ? 16 : 256 }, (_, k) => k);
    values = new Set(i ? Array.from({ length: 2 ** i.bits }, (_, k) => smallLimits(i).lowest + k) : codes.map((k) => decodeSmall(t, k)));
    tables.set(t, values);
  }
  for (const x of numbersOf(data)) if (!values.has(x)) return x;
  return null;
}

const typed = new WeakMap<TensorData, number>();
/** Remembers that host data is of a small type. */
export function markData(data: TensorData, t: number): TensorData {
  if (isSmallType(t)) typed.set(data, t);
  return data;
}
/** The small type of host data that was read from a file. */
export const smallTypeOfData = (data: TensorData): number | undefined => typed.get(data);
