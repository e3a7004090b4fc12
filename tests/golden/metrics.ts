/** Family `metrics`: results and state after three updates, without and with sample weights, and after a reset. */

import { type SymbolicTensor, separateLayout, Trace } from '../../frontend/keras/backend/trace.js';
import { deserialize } from '../../frontend/keras/metrics/index.js';
import type { JsonObject } from '../../frontend/keras/utils/serialization.js';
import { GraphBuilder } from '../../ir/builder.js';
import { hostArray, numbersOf } from '../../ir/dtype.js';
import type { TensorData } from '../../ir/tensor-data.js';
import { type ArrayRef, available, type CaseHeader, type Checker, type Target } from './cases.js';

interface Update {
  readonly target: ArrayRef;
  readonly prediction: ArrayRef | null;
  readonly sample_weight: ArrayRef | null;
}

interface MetricCase extends CaseHeader {
  readonly class_name: string;
  readonly kwargs: JsonObject;
  readonly updates: readonly Update[];
  readonly runs: readonly {
    readonly weighted: boolean;
    readonly after_update: readonly { readonly result: ArrayRef; readonly state: readonly ArrayRef[] }[];
    readonly state_after_reset: readonly ArrayRef[];
    readonly result_after_reset: ArrayRef;
  }[];
}

export async function runMetricCase(json: CaseHeader, check: Checker, target: Target): Promise<void> {
  const c = json as MetricCase;
  for (const run of c.runs) {
    const metric = available(() => deserialize({ class_name: c.class_name, config: c.kwargs }, c.semantics));
    const b = new GraphBuilder(c.name);
    const t = new Trace(b, { training: false, layout: separateLayout });
    const input = (name: string, ref: ArrayRef): SymbolicTensor => {
      const a = check.array(ref);
      return t.tensor(b.input(name, a.dtype, a.shape));
    };
    const [first] = c.updates as readonly [Update];
    const y = input('target', first.target);
    const p = first.prediction ? input('prediction', first.prediction) : y;
    metric.update(y, p, run.weighted && first.sample_weight ? input('sample_weight', first.sample_weight) : null);
    const executor = target.executor();
    try {
      const program = await executor.load(c.name, b.build());
      const compare = async (label: string, result: ArrayRef, state: readonly ArrayRef[]) => {
        const values = await Promise.all(metric.variables.map((v) => executor.readState(v.path)));
        check.truth(`${label}: number of variables`, values.length, state.length);
        state.forEach((ref, i) => {
          check.equal(
            `${label}: ${metric.variables[i]?.name}`,
            { dtype: metric.variables[i]!.dtype, shape: metric.variables[i]!.shape, data: values[i]! },
            ref,
          );
        });
        check.numbers(`${label}: result`, metric.resultsOf(values), check.array(result).data);
      };
      const label = run.weighted ? 'weighted' : 'plain';
      for (const [i, u] of c.updates.entries()) {
        const given: Record<string, TensorData> = { target: check.array(u.target) };
        if (u.prediction) given.prediction = check.array(u.prediction);
        if (run.weighted && u.sample_weight) given.sample_weight = check.array(u.sample_weight);
        program.run({ inputs: given });
        await compare(`${label} update ${i}`, run.after_update[i]!.result, run.after_update[i]!.state);
      }
      for (const v of metric.variables) executor.writeState(v.path, numbersOf(hostArray(v.dtype, v.size)));
      await compare(`${label} reset`, run.result_after_reset, run.state_after_reset);
    } finally {
      executor.dispose();
    }
  }
}
