/** Operand broadcasting as the versions of ONNX define it. */
import type { Value } from '../../../ir/graph.js';
import type { NodeContext } from '../context.js';
import { int, opt } from '../registry.js';

/** Attributes of binary ops before opset 7: the second operand is aligned at `axis`. `consumed_inputs` is a hint of opset 1. */
export const legacyBroadcast = { axis: opt.int, broadcast: int(0), consumed_inputs: opt.ints } as const;

/** Both operands; before opset 7 the second one is put at the axis that the node says. */
export function operands(c: NodeContext, a: { readonly axis: number | null; readonly broadcast: number }): [Value, Value] {
  const [x, y] = [c.in(0), c.in(1)];
  if (c.version >= 7 || !a.broadcast || y.shape.length === 0) return [x, y];
  const at = a.axis === null ? x.shape.length - y.shape.length : c.axis(a.axis, x.shape.length);
  if (at < 0 || at + y.shape.length > x.shape.length) c.failShape(`operand of rank ${y.shape.length} does not fit at axis ${at} of rank ${x.shape.length}`);
  return [x, c.b.reshape(y, [...y.shape, ...Array.from({ length: x.shape.length - at - y.shape.length }, () => 1)])];
}

/** A per-channel vector beside a tensor of the given rank with channels at axis 1. */
export const perChannel = (c: NodeContext, v: Value, rank: number): Value =>
  c.b.reshape(v, [v.shape[0]!, ...Array.from({ length: Math.max(rank - 2, 0) }, () => 1)]);
