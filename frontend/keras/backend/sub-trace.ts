/** The trace of a sub-graph (a step of a scan, a branch, the body of a loop): variables and tensors from outside become inputs of the sub-graph by themselves. */
import { GraphBuilder } from '../../../ir/builder.js';
import { UnsupportedError } from '../../../ir/errors.js';
import type { Value } from '../../../ir/graph.js';
import { type SymbolicTensor, separateLayout, Trace } from './trace.js';
import type { Variable } from './variable.js';

export class SubTrace extends Trace {
  /** Values of the trace around, with the inputs that stand for them here, in the order in which they were met. */
  readonly captured = new Map<Value, SymbolicTensor>();

  constructor(
    readonly parent: Trace,
    name: string,
  ) {
    super(new GraphBuilder(name), { training: parent.training, layout: separateLayout });
  }
  override get depth(): number {
    return this.parent.depth + 1;
  }

  override capture(x: SymbolicTensor): SymbolicTensor {
    if (x.trace === this) return x;
    const outside = this.parent.capture(x);
    let inside = this.captured.get(outside.value);
    if (!inside) {
      inside = this.tensor(this.b.input(`captured${this.captured.size}`, outside.dtype, outside.shape));
      this.captured.set(outside.value, inside);
    }
    return inside;
  }
  override read(v: Variable): SymbolicTensor {
    return this.capture(this.parent.read(v));
  }
  override assign(v: Variable): void {
    throw new UnsupportedError(`'${v.path}' cannot be assigned within a repeated step or a branch`);
  }
  override randomKey(): Value {
    throw new UnsupportedError('random numbers cannot be drawn within a repeated step or a branch: draw them before it');
  }
}
