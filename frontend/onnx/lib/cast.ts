/** Casts as ONNX defines them. */
import type { DType } from '../../../ir/dtype.js';
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';

/** x in another type: floats to integers truncate toward zero; to bool: whether it is not 0. */
export const castTo = (c: NodeContext, x: Value, dtype: DType): Value => c.b.cast(x, dtype);
