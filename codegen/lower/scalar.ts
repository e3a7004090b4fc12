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
      throw new UnsupportedError('float16 tensors cannot be computed with yet: cast to float32');
  }
};
