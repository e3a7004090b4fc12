/** The scalar type that elements of a tensor are computed in. */
import type { DType } from '../../ir/dtype.js';
import { UnsupportedError } from '../../ir/errors.js';
import type { Scalar } from '../kernel/expr.js';

export const scalarOf = (t: DType): Scalar => {
  switch (t) {
    case 'float32':
      return 'f32';
    case 'float64':
      return 'f64';
    case 'int32':
    case 'int8':
      return 'i32';
    case 'uint32':
    case 'uint8':
      return 'u32';
    case 'bool':
      return 'bool';
    case 'float16':
    case 'bfloat16':
    case 'int64':
    case 'uint64':
    case 'int16':
    case 'uint16':
      throw new UnsupportedError(`${t} tensors cannot be computed with yet: cast to another type`);
  }
};
