/** Named activations as ops of the opset; those that have none there are written as the primitives that they are. */
import type { Value } from '../../../ir/graph.js';
import type { ActivationCall } from './observer.js';
import { real } from './proto.js';
import type { Attrs, Writer } from './writer.js';

interface Entry {
  readonly op: string;
  readonly attrs?: Attrs;
  /** The first opset that has the op; default 13 or before. */
  readonly since?: number;
}

const table: Readonly<Record<string, Entry>> = {
  relu: { op: 'Relu' },
  elu: { op: 'Elu' },
  celu: { op: 'Celu' },
  selu: { op: 'Selu' },
  softplus: { op: 'Softplus' },
  softsign: { op: 'Softsign' },
  leaky_relu: { op: 'LeakyRelu', attrs: { alpha: real(0.2) } },
  hard_sigmoid: { op: 'HardSigmoid', attrs: { alpha: real(1 / 6), beta: real(0.5) } },
  hard_sigmoid_keras2: { op: 'HardSigmoid', attrs: { alpha: real(0.2), beta: real(0.5) } },
  hard_swish: { op: 'HardSwish', since: 14 },
  hard_silu: { op: 'HardSwish', since: 14 },
  hard_shrink: { op: 'Shrink', attrs: { lambd: real(0.5), bias: real(0) } },
  soft_shrink: { op: 'Shrink', attrs: { lambd: real(0.5), bias: real(0.5) } },
  mish: { op: 'Mish', since: 18 },
};

/** Writes y = activation(x); false where the opset has no op for it. */
export function writeActivation(w: Writer, call: ActivationCall, y: Value): boolean {
  const entry = Object.hasOwn(table, call.name) ? table[call.name] : undefined;
  if (!entry || (entry.since ?? 0) > w.opset || y.dtype !== 'float32') return false;
  unaryOp(w, y, entry.op, call.x, entry.attrs);
  return true;
}

/** An op on single elements, in the form of its input. */
export function unaryOp(w: Writer, y: Value, op: string, x: Value, attrs: Attrs = {}, more: readonly string[] = []) {
  const form = w.formOf(x);
  w.emit(y, op, [w.name(x, form), ...more], attrs, form);
}
