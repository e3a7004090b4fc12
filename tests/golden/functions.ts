/** Families `activations`, `regularizers`, `constraints`, `schedules` (functions as graphs) and `initializers` (values on the host). */

import * as activations from '../../frontend/keras/activations.js';
import * as ops from '../../frontend/keras/backend/ops.js';
import { type SymbolicTensor, separateLayout, Trace } from '../../frontend/keras/backend/trace.js';
import * as constraints from '../../frontend/keras/constraints.js';
import * as initializers from '../../frontend/keras/initializers/index.js';
import * as schedules from '../../frontend/keras/optimizers/schedules.js';
import * as regularizers from '../../frontend/keras/regularizers.js';
import type { JsonObject } from '../../frontend/keras/utils/serialization.js';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import type { Value } from '../../ir/graph.js';
import type { TensorData } from '../../ir/tensor-data.js';
import { type ArrayRef, available, type CaseHeader, type Checker, Skip, type Target } from './cases.js';

/** The values of `outputs` for one float32 input. */
async function evaluated(
  name: string,
  target: Target,
  input: TensorData,
  outputs: (t: Trace, x: SymbolicTensor) => Readonly<Record<string, Value>>,
): Promise<Record<string, TensorData>> {
  const b = new GraphBuilder(name);
  const t = new Trace(b, { training: false, layout: separateLayout });
  const made = outputs(t, t.tensor(b.input('x', input.dtype, input.shape)));
  for (const [key, value] of Object.entries(made)) b.output(key, value);
  const executor = target.executor();
  try {
    const program = await executor.load(name, b.build());
    program.run({ inputs: { x: input } });
    const results: Record<string, TensorData> = {};
    for (const key of Object.keys(made)) results[key] = await program.read(key);
    return results;
  } finally {
    executor.dispose();
  }
}

interface ActivationCase extends CaseHeader {
  readonly function: string;
  readonly kwargs: JsonObject;
  readonly input: ArrayRef;
  readonly output: ArrayRef;
  readonly cotangent: ArrayRef;
  readonly input_gradient: ArrayRef;
}

/** Functions that take arguments beside x, with those of Keras 2 and 3. */
const parametric: Readonly<Record<string, (x: SymbolicTensor, k: JsonObject) => SymbolicTensor>> = {
  relu: (x, k) =>
    activations.relu(x, {
      negativeSlope: (k.negative_slope ?? k.alpha) as number | undefined,
      maxValue: k.max_value as number | undefined,
      threshold: k.threshold as number | undefined,
    }),
  elu: (x, k) => activations.elu(x, k.alpha as number),
  gelu: (x, k) => activations.gelu(x, k.approximate as boolean),
  leaky_relu: (x, k) => activations.leakyRelu(x, k.negative_slope as number),
  softmax: (x, k) => activations.softmax(x, k.axis as number),
  log_softmax: (x, k) => activations.logSoftmax(x, k.axis as number),
  celu: (x, k) => activations.celu(x, k.alpha as number),
  glu: (x, k) => activations.glu(x, k.axis as number),
  hard_shrink: (x, k) => activations.hardShrink(x, k.threshold as number),
  soft_shrink: (x, k) => activations.softShrink(x, k.threshold as number),
  sparsemax: (x, k) => activations.sparsemax(x, k.axis as number),
  squareplus: (x, k) => activations.squareplus(x, k.b as number),
  threshold: (x, k) => activations.threshold(x, k.threshold as number, k.default_value as number),
};

export async function runActivationCase(json: CaseHeader, check: Checker, target: Target): Promise<void> {
  const c = json as ActivationCase;
  const withArguments = Object.keys(c.kwargs).length > 0 ? parametric[c.function] : null;
  const plain = withArguments ?? available(() => activations.get(c.function, c.semantics)).apply;
  if (withArguments === undefined) throw new Skip(`activation '${c.function}' takes no arguments`);
  const results = await evaluated(c.name, target, check.array(c.input), (t, x) => {
    const y = plain(x, c.kwargs);
    const cotangent = t.b.constant(check.array(c.cotangent));
    return { output: y.value, gradient: gradients(t.b, [{ value: y.value, cotangent }], [x.value])[0]! };
  });
  check.equal('output', results.output!, c.output);
  check.equal('gradient', results.gradient!, c.input_gradient);
}

interface PlainCase extends CaseHeader {
  readonly class_name: string;
  readonly kwargs: JsonObject;
  readonly input: ArrayRef;
}

export async function runRegularizerCase(json: CaseHeader, check: Checker, target: Target): Promise<void> {
  const c = json as PlainCase & { readonly value: number; readonly input_gradient: ArrayRef | null };
  const regularizer = available(() => regularizers.deserialize({ class_name: c.class_name, config: c.kwargs }))!;
  const results = await evaluated(c.name, target, check.array(c.input), (t, x) => {
    const y = regularizer.call(x).value;
    return { value: y, gradient: gradients(t.b, y, [x.value])[0]! };
  });
  check.numbers('value', results.value!.data, [c.value]);
  // Keras gives no gradient where all factors are 0
  if (c.input_gradient) check.equal('gradient', results.gradient!, c.input_gradient);
  else check.numbers('gradient', results.gradient!.data, new Array<number>(results.gradient!.data.length).fill(0));
}

export async function runConstraintCase(json: CaseHeader, check: Checker, target: Target): Promise<void> {
  const c = json as PlainCase & { readonly output: ArrayRef };
  const constraint = available(() => constraints.deserialize({ class_name: c.class_name, config: c.kwargs }))!;
  const results = await evaluated(c.name, target, check.array(c.input), (_, x) => ({ output: constraint.call(x).value }));
  check.equal('output', results.output!, c.output);
}

export async function runScheduleCase(json: CaseHeader, check: Checker, target: Target): Promise<void> {
  const c = json as PlainCase & { readonly steps: readonly number[]; readonly values: readonly number[] };
  const schedule = available(() => schedules.deserialize({ class_name: c.class_name, config: c.kwargs }));
  const steps: TensorData = { dtype: 'float32', shape: [c.steps.length], data: Float32Array.from(c.steps) };
  const results = await evaluated(c.name, target, steps, (_, x) => {
    // a schedule takes one step, a scalar
    const rates = c.steps.map((_, i) => ops.reshape(schedule.call(ops.reshape(ops.sliceAxis(x, 0, i, i + 1), [])), [1]));
    return { rates: ops.concatenate(rates, 0).value };
  });
  check.numbers('rates', results.rates!.data, c.values);
}

interface InitializerCase extends CaseHeader {
  readonly class_name: string;
  readonly kwargs: JsonObject;
  readonly shape: readonly number[];
  readonly kind: 'exact' | 'orthogonal' | 'random';
  readonly values?: ArrayRef;
  readonly gain?: number;
  readonly expected?: { readonly mean: number; readonly std: number; readonly low?: number; readonly high?: number };
  readonly tolerance: CaseHeader['tolerance'] & { readonly mean_atol?: number; readonly std_rtol?: number };
}

/** Q Qᵀ of the rows or columns of a matrix, whichever are fewer; leading axes are flattened into rows. */
function gram(values: ArrayLike<number>, columns: number): { readonly size: number; readonly data: Float64Array } {
  const rows = values.length / columns;
  const size = Math.min(rows, columns);
  const length = Math.max(rows, columns);
  const at = (i: number, j: number) => (rows <= columns ? values[i * columns + j]! : values[j * columns + i]!);
  const data = new Float64Array(size * size);
  for (let i = 0; i < size; i++) for (let j = 0; j < size; j++) for (let k = 0; k < length; k++) data[i * size + j]! += at(i, k) * at(j, k);
  return { size, data };
}

/** The random streams of TensorFlow are not reproduced: moments and bounds are compared. */
export async function runInitializerCase(json: CaseHeader, check: Checker): Promise<void> {
  const c = json as InitializerCase;
  const values = available(() => initializers.deserialize({ class_name: c.class_name, config: c.kwargs })).values(c.shape);
  if (c.kind === 'exact') check.equal('values', { dtype: 'float32', shape: c.shape, data: values }, c.values!);
  else if (c.kind === 'orthogonal') {
    const { size, data } = gram(values, c.shape.at(-1)!);
    const identity = Float64Array.from(data, (_, i) => (i % (size + 1) === 0 ? c.gain! ** 2 : 0));
    check.numbers('Q Qᵀ', data, identity);
  } else {
    const { mean, std, low = -Infinity, high = Infinity } = c.expected!;
    const found = values.reduce((a, v) => a + v, 0) / values.length;
    const deviation = Math.sqrt(values.reduce((a, v) => a + (v - found) ** 2, 0) / values.length);
    check.truth(`the mean ${found} is within ${c.tolerance.mean_atol} of ${mean}`, Math.abs(found - mean) <= c.tolerance.mean_atol!, true);
    check.truth(`the deviation ${deviation} is that of ${std}`, Math.abs(deviation / std - 1) <= c.tolerance.std_rtol!, true);
    const slack = 1e-6 * Math.max(Math.abs(low), Math.abs(high));
    check.truth(
      `all values lie in [${low}, ${high}]`,
      values.every((v) => !(v < low - slack) && !(v > high + slack)),
      true,
    );
  }
}
