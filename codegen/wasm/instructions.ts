/** Instruction selection: which WASM instructions a Kernel IR operation is, by element type and lanes. 2-lane values live in the low half of a v128. bool vectors are masks of 32-bit lanes. */

import { toWide } from '../../ir/dtype.js';
import { InternalError, UnsupportedError } from '../../ir/errors.js';
import { type BinaryFn, type CompareFn, type Expr, isWideInt, isWideScalar, type Lanes, type Scalar, type UnaryFn } from '../kernel/expr.js';
import type { Memory } from '../kernel/ir.js';
import type { Code, ValueType } from './encoder.js';
import { op, sat, simd } from './opcodes.js';

/** Gives a local for an intermediate value. */
export type Temporary = (type: ValueType) => number;

export function valueType(scalar: Scalar, lanes: Lanes): ValueType {
  if (scalar === 'f16') throw new UnsupportedError('float16 arithmetic on WASM; expected legalize to compute in float32');
  if (lanes > 1) {
    if (isWideScalar(scalar)) throw new InternalError(`vectors of ${scalar} on WASM`);
    return 'v128';
  }
  return scalar === 'f32' || scalar === 'f64' ? scalar : isWideInt(scalar) ? 'i64' : 'i32';
}
export const typeOf = (e: Expr): ValueType => valueType(e.scalar, e.lanes);

/** Bytes of an element that is stored in less than 32 bits; else 0. */
const packedBytes = (m: Memory): number => (m.storage === 'u8' || m.storage === 'i8' ? 1 : m.storage === 'u16' || m.storage === 'i16' ? 2 : 0);
const packedLoad: Partial<Record<Memory['storage'], number>> = { u8: op.i32Load8U, i8: op.i32Load8S, u16: op.i32Load16U, i16: op.i32Load16S };

/** Bytes of a stored element. */
export function elementBytes(m: Memory): number {
  const packed = packedBytes(m);
  if (packed > 0) return packed;
  if (m.scalar === 'f16') throw new UnsupportedError(`'${m.name}' holds float16, which WASM cannot load`);
  return isWideScalar(m.scalar) ? 8 : 4;
}

export function constantCode(code: Code, value: number, scalar: Scalar, lanes: Lanes): void {
  if (lanes === 1) {
    if (scalar === 'f32') code.f32Const(value);
    else if (scalar === 'f64') code.f64Const(value);
    else if (isWideInt(scalar)) code.i64(toWide(scalar === 'u64' && value >= 0 ? 'uint64' : 'int64', value));
    else code.i32(value);
    return;
  }
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 4; i++) {
    if (scalar === 'f32') view.setFloat32(4 * i, value, true);
    else view.setInt32(4 * i, scalar === 'bool' ? (value ? -1 : 0) : value, true);
  }
  code.v128Const(bytes);
}

/** Pops an address. */
export function loadCode(code: Code, m: Memory, lanes: Lanes, offset: number): void {
  const packed = packedBytes(m);
  if (lanes === 1) {
    if (packed > 0) {
      code.memory(packedLoad[m.storage]!, 0, offset);
      if (m.scalar === 'f32') code.op(op.f32ConvertI32S);
    } else if (m.scalar === 'f32') code.memory(op.f32Load, 2, offset);
    else if (m.scalar === 'f64') code.memory(op.f64Load, 3, offset);
    else if (isWideInt(m.scalar)) code.memory(op.i64Load, 3, offset);
    else code.memory(op.i32Load, 2, offset);
    return;
  }
  if (packed > 0) {
    if (lanes !== 4) throw new UnsupportedError(`2-lane loads of packed integers ('${m.name}') on WASM`);
    const signed = m.storage === 'i8' || m.storage === 'i16';
    code.simdMemory(packed === 1 ? simd.load32Zero : simd.load64Zero, 0, offset);
    if (packed === 1) code.simd(signed ? simd.i16x8ExtendLowI8x16S : simd.i16x8ExtendLowI8x16U);
    code.simd(signed ? simd.i32x4ExtendLowI16x8S : simd.i32x4ExtendLowI16x8U);
    if (m.scalar === 'f32') code.simd(simd.f32x4ConvertI32x4S);
    if (m.scalar === 'bool') code.simd(simd.i32x4Neg);
    return;
  }
  valueType(m.scalar, lanes);
  code.simdMemory(lanes === 4 ? simd.load : simd.load64Zero, 2, offset);
  if (m.scalar === 'bool') code.simd(simd.i32x4Neg);
}

/** Pops an address, gives a vector of one repeated element. */
export const loadSplatCode = (code: Code, offset: number): void => void code.simdMemory(simd.load32Splat, 2, offset);
export const canLoadSplat = (m: Memory): boolean => (m.scalar === 'f32' || m.scalar === 'i32' || m.scalar === 'u32') && m.storage === 'same';

/** Pops an address and a value. */
export function storeCode(code: Code, m: Memory, lanes: Lanes, offset: number): void {
  if (packedBytes(m) > 0) throw new InternalError(`store to packed integers '${m.name}'`);
  if (lanes === 1) {
    if (m.scalar === 'f32') code.memory(op.f32Store, 2, offset);
    else if (m.scalar === 'f64') code.memory(op.f64Store, 3, offset);
    else if (isWideInt(m.scalar)) code.memory(op.i64Store, 3, offset);
    else code.memory(op.i32Store, 2, offset);
    return;
  }
  if (m.scalar === 'bool') code.simd(simd.i32x4Neg);
  if (lanes === 4) code.simdMemory(simd.store, 2, offset);
  else code.simdMemory(simd.store64Lane, 2, offset).byte(0);
}

const scalarFloat: Partial<Record<UnaryFn, readonly [number, number]>> = {
  neg: [op.f32Neg, op.f64Neg],
  abs: [op.f32Abs, op.f64Abs],
  floor: [op.f32Floor, op.f64Floor],
  ceil: [op.f32Ceil, op.f64Ceil],
  round: [op.f32Nearest, op.f64Nearest],
  trunc: [op.f32Trunc, op.f64Trunc],
  sqrt: [op.f32Sqrt, op.f64Sqrt],
};
const vectorFloat: Partial<Record<UnaryFn, number>> = {
  neg: simd.f32x4Neg,
  abs: simd.f32x4Abs,
  floor: simd.f32x4Floor,
  ceil: simd.f32x4Ceil,
  round: simd.f32x4Nearest,
  trunc: simd.f32x4Trunc,
  sqrt: simd.f32x4Sqrt,
};

/** Unary operations of 64-bit integers. */
function wideUnary(code: Code, fn: UnaryFn, scalar: Scalar, temporary: Temporary): void {
  const t = temporary('i64');
  switch (fn) {
    case 'neg':
      code.i64(-1).op(op.i64Mul);
      return;
    case 'bitnot':
      code.i64(-1).op(op.i64Xor);
      return;
    case 'abs':
      if (scalar === 'u64') return;
      code.set(t).i64(0).get(t).op(op.i64Sub).get(t).get(t).i64(0).op(op.i64LtS, op.select);
      return;
    case 'sign':
      code.tee(t).i64(0);
      compareCode(code, 'gt', scalar, 1);
      code.get(t).i64(0);
      compareCode(code, 'lt', scalar, 1);
      code.op(op.i32Sub, op.i64ExtendI32S);
      return;
    default:
      throw new InternalError(`'${fn}' of ${scalar} reached the WASM emitter`);
  }
}

/** Pops the operand. */
export function unaryCode(code: Code, fn: UnaryFn, scalar: Scalar, lanes: Lanes, temporary: Temporary): void {
  const float = scalar === 'f32' || scalar === 'f64';
  const type = valueType(scalar, lanes);
  const c = (v: number): Code => {
    constantCode(code, v, scalar, lanes);
    return code;
  };
  if (isWideInt(scalar)) {
    wideUnary(code, fn, scalar, temporary);
  } else if (fn === 'not') {
    if (lanes === 1) code.op(op.i32Eqz);
    else code.simd(simd.not);
  } else if (fn === 'bitnot') {
    if (lanes === 1) code.i32(-1).op(op.i32Xor);
    else code.simd(simd.not);
  } else if (float && lanes === 1 && scalarFloat[fn]) code.op(scalarFloat[fn][scalar === 'f32' ? 0 : 1]);
  else if (float && lanes > 1 && vectorFloat[fn] !== undefined) code.simd(vectorFloat[fn]!);
  else if (fn === 'neg') {
    if (lanes === 1) code.i32(-1).op(op.i32Mul);
    else code.simd(simd.i32x4Neg);
  } else if (fn === 'abs') {
    if (scalar === 'u32') return;
    if (lanes > 1) code.simd(simd.i32x4Abs);
    else {
      const t = temporary('i32');
      code.tee(t).i32(0).get(t).op(op.i32Sub).get(t).get(t).i32(0).op(op.i32LtS, op.select).set(t).op(op.drop).get(t);
    }
  } else if (fn === 'rsqrt' && float) {
    const t = temporary(type);
    unaryCode(code, 'sqrt', scalar, lanes, temporary);
    code.set(t);
    c(1).get(t);
    binaryCode(code, 'div', scalar, lanes);
  } else if ((fn === 'is_nan' || fn === 'is_inf') && float) {
    if (fn === 'is_inf') {
      unaryCode(code, 'abs', scalar, lanes, temporary);
      c(Number.POSITIVE_INFINITY);
    } else {
      const t = temporary(type);
      code.tee(t).get(t);
    }
    compareCode(code, fn === 'is_inf' ? 'eq' : 'ne', scalar, lanes);
  } else if (fn === 'sign') {
    // Floats: ±1 with x's sign where |x| > 0, else x itself (zero or NaN).
    const t = temporary(type);
    code.set(t);
    if (!float) {
      code.get(t);
      c(0);
      compareCode(code, 'gt', scalar, lanes);
      code.get(t);
      c(0);
      compareCode(code, 'lt', scalar, lanes);
      // Masks are -1, scalar truth values are 1.
      if (lanes === 1) code.op(op.i32Sub);
      else {
        const positive = temporary('v128');
        const negative = temporary('v128');
        code.set(negative).set(positive).get(negative).get(positive).simd(simd.i32x4Sub);
      }
      return;
    }
    c(1);
    c(-1).get(t);
    c(0);
    compareCode(code, 'gt', scalar, lanes);
    selectCode(code, lanes, false);
    code.get(t).get(t);
    unaryCode(code, 'abs', scalar, lanes, temporary);
    c(0);
    compareCode(code, 'gt', scalar, lanes);
    selectCode(code, lanes, false);
  } else throw new InternalError(`'${fn}' of ${scalar}x${lanes} reached the WASM emitter; expected legalize to expand it`);
}

/** Indexed by f32, f64, i32, u32, i64, u64. */
const scalarColumns: readonly Scalar[] = ['f32', 'f64', 'i32', 'u32', 'i64', 'u64'];
const scalarBinary: Partial<Record<BinaryFn, readonly (number | null)[]>> = {
  add: [op.f32Add, op.f64Add, op.i32Add, op.i32Add, op.i64Add, op.i64Add],
  sub: [op.f32Sub, op.f64Sub, op.i32Sub, op.i32Sub, op.i64Sub, op.i64Sub],
  mul: [op.f32Mul, op.f64Mul, op.i32Mul, op.i32Mul, op.i64Mul, op.i64Mul],
  div: [op.f32Div, op.f64Div, op.i32DivS, op.i32DivU, op.i64DivS, op.i64DivU],
  rem: [null, null, op.i32RemS, op.i32RemU, op.i64RemS, op.i64RemU],
  min: [op.f32Min, op.f64Min, null, null, null, null],
  max: [op.f32Max, op.f64Max, null, null, null, null],
  and: [null, null, op.i32And, op.i32And, op.i64And, op.i64And],
  or: [null, null, op.i32Or, op.i32Or, op.i64Or, op.i64Or],
  xor: [null, null, op.i32Xor, op.i32Xor, op.i64Xor, op.i64Xor],
  shl: [null, null, op.i32Shl, op.i32Shl, op.i64Shl, op.i64Shl],
  shr: [null, null, op.i32ShrS, op.i32ShrU, op.i64ShrS, op.i64ShrU],
};
/** Indexed by f32, i32, u32. Shifts pop a scalar count. */
const vectorBinary: Partial<Record<BinaryFn, readonly (number | null)[]>> = {
  add: [simd.f32x4Add, simd.i32x4Add, simd.i32x4Add],
  sub: [simd.f32x4Sub, simd.i32x4Sub, simd.i32x4Sub],
  mul: [simd.f32x4Mul, simd.i32x4Mul, simd.i32x4Mul],
  div: [simd.f32x4Div, null, null],
  min: [simd.f32x4Min, simd.i32x4MinS, simd.i32x4MinU],
  max: [simd.f32x4Max, simd.i32x4MaxS, simd.i32x4MaxU],
  and: [null, simd.and, simd.and],
  or: [null, simd.or, simd.or],
  xor: [null, simd.xor, simd.xor],
  shl: [null, simd.i32x4Shl, simd.i32x4Shl],
  shr: [null, simd.i32x4ShrS, simd.i32x4ShrU],
};

/** Whether binaryCode has a single instruction for it; the others are expanded by the emitter. */
export const hasBinary = (fn: BinaryFn, scalar: Scalar, lanes: Lanes): boolean => binaryOpcode(fn, scalar, lanes) !== null;

function binaryOpcode(fn: BinaryFn, scalar: Scalar, lanes: Lanes): number | null {
  if (lanes === 1) return scalarBinary[fn]?.[scalarColumns.indexOf(scalar === 'bool' ? 'i32' : scalar)] ?? null;
  return vectorBinary[fn]?.[scalar === 'f32' ? 0 : scalar === 'u32' ? 2 : 1] ?? null;
}

/** Pops two operands. */
export function binaryCode(code: Code, fn: BinaryFn, scalar: Scalar, lanes: Lanes): void {
  const o = binaryOpcode(fn, scalar, lanes);
  if (o === null) throw new InternalError(`'${fn}' of ${scalar}x${lanes} reached the WASM emitter; expected legalize to expand it`);
  if (lanes === 1) code.op(o);
  else code.simd(o);
}

const compares: readonly CompareFn[] = ['eq', 'ne', 'lt', 'gt', 'le', 'ge'];
const scalarCompare = {
  f32: [op.f32Eq, op.f32Ne, op.f32Lt, op.f32Gt, op.f32Le, op.f32Ge],
  f64: [op.f64Eq, op.f64Ne, op.f64Lt, op.f64Gt, op.f64Le, op.f64Ge],
  i32: [op.i32Eq, op.i32Ne, op.i32LtS, op.i32GtS, op.i32LeS, op.i32GeS],
  u32: [op.i32Eq, op.i32Ne, op.i32LtU, op.i32GtU, op.i32LeU, op.i32GeU],
  i64: [op.i64Eq, op.i64Ne, op.i64LtS, op.i64GtS, op.i64LeS, op.i64GeS],
  u64: [op.i64Eq, op.i64Ne, op.i64LtU, op.i64GtU, op.i64LeU, op.i64GeU],
};
const vectorCompare = {
  f32: [simd.f32x4Eq, simd.f32x4Ne, simd.f32x4Lt, simd.f32x4Gt, simd.f32x4Le, simd.f32x4Ge],
  i32: [simd.i32x4Eq, simd.i32x4Ne, simd.i32x4LtS, simd.i32x4GtS, simd.i32x4LeS, simd.i32x4GeS],
  u32: [simd.i32x4Eq, simd.i32x4Ne, simd.i32x4LtU, simd.i32x4GtU, simd.i32x4LeU, simd.i32x4GeU],
};

/** Pops two operands of type `scalar`. */
export function compareCode(code: Code, fn: CompareFn, scalar: Scalar, lanes: Lanes): void {
  const i = compares.indexOf(fn);
  const s = scalar === 'bool' ? 'i32' : scalar;
  if (s === 'f16' || (isWideScalar(s) && lanes > 1)) throw new UnsupportedError(`comparison of ${s}x${lanes} on WASM`);
  if (lanes === 1) code.op(scalarCompare[s][i]!);
  else code.simd(vectorCompare[s as 'f32' | 'i32' | 'u32'][i]!);
}

/** Pops then, else and the condition (a mask of as many lanes). */
export function selectCode(code: Code, lanes: Lanes, relaxed: boolean): void {
  if (lanes === 1) code.op(op.select);
  else code.simd(relaxed ? simd.i32x4RelaxedLaneselect : simd.bitselect);
}

/** Conversions from and to 64-bit integers. */
function wideCast(code: Code, from: Scalar, to: Scalar): void {
  const unsigned = (s: Scalar): boolean => s === 'u32' || s === 'u64' || s === 'bool';
  if (isWideInt(from)) {
    if (to === 'f32') code.op(unsigned(from) ? op.f32ConvertI64U : op.f32ConvertI64S);
    else if (to === 'f64') code.op(unsigned(from) ? op.f64ConvertI64U : op.f64ConvertI64S);
    else if (!isWideInt(to)) code.op(op.i32WrapI64);
  } else if (from === 'f32') code.sat(unsigned(to) ? sat.i64TruncSatF32U : sat.i64TruncSatF32S);
  else if (from === 'f64') code.sat(unsigned(to) ? sat.i64TruncSatF64U : sat.i64TruncSatF64S);
  else code.op(unsigned(from) ? op.i64ExtendI32U : op.i64ExtendI32S);
}

/** Pops the operand. */
export function castCode(code: Code, from: Scalar, to: Scalar, lanes: Lanes): void {
  const int = (s: Scalar): boolean => s === 'i32' || s === 'u32';
  if (from === 'f16' || to === 'f16' || (lanes > 1 && (isWideScalar(from) || isWideScalar(to))))
    throw new UnsupportedError(`cast of ${from}x${lanes} to ${to} on WASM`);
  if (int(from) && int(to)) return;
  if (to === 'bool') {
    constantCode(code, 0, from, lanes);
    compareCode(code, 'ne', from, lanes);
  } else if (lanes > 1) {
    if (from === 'bool') {
      if (int(to)) code.simd(simd.i32x4Neg);
      else {
        constantCode(code, 1, 'f32', lanes);
        code.simd(simd.and);
      }
    } else if (to === 'f32') code.simd(from === 'u32' ? simd.f32x4ConvertI32x4U : simd.f32x4ConvertI32x4S);
    else code.simd(to === 'u32' ? simd.i32x4TruncSatF32x4U : simd.i32x4TruncSatF32x4S);
  } else if (from === 'bool' && int(to)) return;
  else if (isWideInt(from) || isWideInt(to)) wideCast(code, from, to);
  else if (to === 'f32') code.op(from === 'f64' ? op.f32DemoteF64 : from === 'u32' ? op.f32ConvertI32U : op.f32ConvertI32S);
  else if (to === 'f64') code.op(from === 'f32' ? op.f64PromoteF32 : from === 'u32' ? op.f64ConvertI32U : op.f64ConvertI32S);
  else code.sat(from === 'f32' ? (to === 'u32' ? sat.i32TruncSatF32U : sat.i32TruncSatF32S) : to === 'u32' ? sat.i32TruncSatF64U : sat.i32TruncSatF64S);
}

/** Pops the operand. */
export function bitcastCode(code: Code, from: Scalar, to: Scalar, lanes: Lanes): void {
  if (lanes > 1 || from === to) return;
  if (from === 'f32') code.op(op.i32ReinterpretF32);
  else if (to === 'f32') code.op(op.f32ReinterpretI32);
  else if (from === 'f64') code.op(op.i64ReinterpretF64);
  else if (to === 'f64') code.op(op.f64ReinterpretI64);
}
