/**
 * A step that is repeated along the first axis of sequences: the op `scan`, with the step written as a function on symbolic tensors. Variables that the step reads
 * become constants of the scan by themselves; other tensors from outside must be given as constants.
 */
import { GraphBuilder } from '../../../ir/builder.js';
import type { Dim } from '../../../ir/dim.js';
import { UnsupportedError } from '../../../ir/errors.js';
import type { Value } from '../../../ir/graph.js';
import { type SymbolicTensor, separateLayout, Trace } from './trace.js';
import type { Variable } from './variable.js';

/** The trace of a step: a variable read in it is an input of the sub-graph. */
class StepTrace extends Trace {
  readonly captured = new Map<Variable, Value>();
  override read(v: Variable): SymbolicTensor {
    let value = this.captured.get(v);
    if (!value) {
      value = this.b.input(v.path, v.dtype, v.shape);
      this.captured.set(v, value);
    }
    return this.tensor(value);
  }
  override assign(v: Variable): void {
    throw new UnsupportedError(`'${v.path}' cannot be assigned within a repeated step`);
  }
  override randomKey(): Value {
    throw new UnsupportedError('random numbers cannot be drawn within a repeated step: draw them before it');
  }
}

export interface ScanOptions {
  /** For printing. */
  readonly name: string;
  /** Values before the first step. */
  readonly carries: readonly SymbolicTensor[];
  /** Sequences: axis 0 is the step. */
  readonly xs: readonly SymbolicTensor[];
  readonly constants: readonly SymbolicTensor[];
  readonly length: Dim;
  /** From the last step to the first; the results stay in place. */
  readonly reverse: boolean;
  readonly step: (
    carries: readonly SymbolicTensor[],
    xs: readonly SymbolicTensor[],
    constants: readonly SymbolicTensor[],
  ) => { readonly carries: readonly SymbolicTensor[]; readonly ys: readonly SymbolicTensor[] };
}

export interface ScanResult {
  /** Values after the last step. */
  readonly carries: readonly SymbolicTensor[];
  /** What each step gave, along axis 0. */
  readonly ys: readonly SymbolicTensor[];
}

/** Runs the step once for each element of the sequences. */
export function scan(trace: Trace, o: ScanOptions): ScanResult {
  const b = new GraphBuilder(o.name);
  const t = new StepTrace(b, { training: trace.training, layout: separateLayout });
  const inputs = (prefix: string, list: readonly SymbolicTensor[], from: number) =>
    list.map((x, i) => t.tensor(b.input(`${prefix}${i}`, x.dtype, x.shape.slice(from))));
  const [carries, xs, constants] = [inputs('carry', o.carries, 0), inputs('x', o.xs, 1), inputs('constant', o.constants, 0)];
  const result = o.step(carries, xs, constants);
  result.carries.forEach((c, i) => {
    b.output(`carry${i}`, c.value);
  });
  result.ys.forEach((y, i) => {
    b.output(`y${i}`, y.value);
  });
  const captured = [...t.captured.keys()].map((v) => trace.read(v));
  const operands = [...o.carries, ...o.xs, ...o.constants, ...captured].map((x) => x.value);
  const values = trace.b
    .emitAll('scan', operands, { body: b.build(), carries: o.carries.length, xs: o.xs.length, length: o.length, reverse: o.reverse })
    .map((v) => trace.tensor(v));
  return { carries: values.slice(0, o.carries.length), ys: values.slice(o.carries.length) };
}
