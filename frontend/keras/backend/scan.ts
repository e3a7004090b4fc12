/**
 * A step that is repeated along the first axis of sequences: the op `scan`, with the step written as a function on symbolic tensors. Variables that the step reads
 * and tensors from outside become constants of the scan by themselves.
 */
import type { Dim } from '../../../ir/dim.js';
import { within } from './context.js';
import { SubTrace } from './sub-trace.js';
import type { SymbolicTensor, Trace } from './trace.js';

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
  const t = new SubTrace(trace, o.name);
  const { b } = t;
  const inputs = (prefix: string, list: readonly SymbolicTensor[], from: number) =>
    list.map((x, i) => t.tensor(b.input(`${prefix}${i}`, x.dtype, x.shape.slice(from))));
  const [carries, xs, constants] = [inputs('carry', o.carries, 0), inputs('x', o.xs, 1), inputs('constant', o.constants, 0)];
  const result = within(t, null, () => o.step(carries, xs, constants));
  result.carries.forEach((c, i) => {
    b.output(`carry${i}`, t.capture(c).value);
  });
  result.ys.forEach((y, i) => {
    b.output(`y${i}`, t.capture(y).value);
  });
  const operands = [...[...o.carries, ...o.xs, ...o.constants].map((x) => trace.capture(x).value), ...t.captured.keys()];
  const values = trace.b
    .emitAll('scan', operands, { body: b.build(), carries: o.carries.length, xs: o.xs.length, length: o.length, reverse: o.reverse })
    .map((v) => trace.tensor(v));
  return { carries: values.slice(0, o.carries.length), ys: values.slice(o.carries.length) };
}
