/** Bits of whole numbers, as in `keras.ops`: int32 and uint32 tensors; shifts to the right keep the sign of int32. */
import { ValueError } from '../../../ir/errors.js';
import type { BinaryFunction } from '../../../ir/op-attrs.js';
import { binary, type S, unary } from './lift.js';

function whole(name: string, x: S): S {
  if (x.dtype !== 'int32' && x.dtype !== 'uint32') throw new ValueError(`ops.${name}: expected int32 or uint32, got ${x.dtype}: use ops.cast`);
  return x;
}
const bits = (name: string, fn: BinaryFunction) => binary(name, (a, b) => a.trace.tensor(a.trace.b.binary(fn, whole(name, a).value, whole(name, b).value)));

export const bitwiseAnd = bits('bitwiseAnd', 'and');
export const bitwiseOr = bits('bitwiseOr', 'or');
export const bitwiseXor = bits('bitwiseXor', 'xor');
export const bitwiseLeftShift = bits('bitwiseLeftShift', 'shift_left');
export const bitwiseRightShift = bits('bitwiseRightShift', 'shift_right');
/** Every bit the other way round. */
export const bitwiseNot = unary('bitwiseNot', (x) =>
  x.trace.tensor(x.trace.b.binary('xor', whole('bitwiseNot', x).value, x.trace.b.scalar(x.dtype === 'int32' ? -1 : 4294967295, x.dtype))),
);
