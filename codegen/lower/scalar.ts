/** The scalar type that elements of a tensor are computed in. */
import type { DType } from '../../ir/dtype.js';
import { InternalError } from '../../ir/errors.js';
import type { Scalar } from '../kernel/expr.js';

export const scalarOf = (t: DType): Scalar => {
  switch (t) {
    case 'float32':
      return 'f32';
    case 'float64':
      return 'f64';
    case 'int32':
    case 'int16':
    case 'int8':
      return 'i32';
    case 'uint32':
    case 'uint16':
    case 'uint8':
      return 'u32';
    case 'bool':
      return 'bool';
    case 'int64':
      return 'i64';
    case 'uint64':
      return 'u64';
    case 'float16':
    case 'bfloat16':
      throw new InternalError(`${t} in a kernel; expected float32 to carry it`);
  }
};
