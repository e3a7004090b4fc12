/** Family `losses`: values and gradients for all reductions and kinds of sample weights, as one graph. */

import { type SymbolicTensor, separateLayout, Trace } from '../../frontend/keras/backend/trace.js';
import { deserialize } from '../../frontend/keras/losses/index.js';
import type { JsonObject } from '../../frontend/keras/utils/serialization.js';
import { gradients } from '../../ir/autodiff.js';
import { GraphBuilder } from '../../ir/builder.js';
import type { TensorData } from '../../ir/tensor-data.js';
import { type ArrayRef, available, type CaseHeader, type Checker, type Target } from './cases.js';

interface LossCase extends CaseHeader {
  readonly class_name: string;
  readonly kwargs: JsonObject;
  readonly target: ArrayRef;
  readonly prediction: ArrayRef;
  readonly sample_weights: Readonly<Record<string, ArrayRef | null>>;
  readonly runs: readonly { readonly reduction: string; readonly sample_weight: string; readonly value: ArrayRef; readonly gradient: ArrayRef }[];
  readonly function?: { readonly value: ArrayRef; readonly gradient: ArrayRef } | null;
}

export async function runLossCase(json: CaseHeader, check: Checker, target: Target): Promise<void> {
  const c = json as LossCase;
  const make = (reduction: string) => available(() => deserialize({ class_name: c.class_name, config: { ...c.kwargs, reduction } }, c.semantics));
  const b = new GraphBuilder(c.name);
  const t = new Trace(b, { training: false, layout: separateLayout });
  const given: Record<string, TensorData> = {};
  const bring = (name: string, ref: ArrayRef): SymbolicTensor => {
    given[name] = check.array(ref);
    return t.tensor(b.input(name, given[name].dtype, given[name].shape));
  };
  const y = bring('target', c.target);
  const p = bring('prediction', c.prediction);
  const weights = Object.fromEntries(Object.entries(c.sample_weights).map(([kind, ref]) => [kind, ref && bring(kind, ref)]));
  const wanted: [string, ArrayRef][] = [];
  const output = (name: string, value: SymbolicTensor, ref: ArrayRef, gradient: ArrayRef) => {
    b.output(`${name} value`, value.value);
    const sum = b.sum(value.value);
    b.output(`${name} gradient`, gradients(b, sum, [p.value])[0]!);
    wanted.push([`${name} value`, ref], [`${name} gradient`, gradient]);
  };
  for (const r of c.runs) output(`${r.reduction} ${r.sample_weight}`, make(r.reduction).compute(y, p, weights[r.sample_weight] ?? null), r.value, r.gradient);
  if (c.function) output('function', make('none').call(y, p), c.function.value, c.function.gradient);
  const executor = target.executor();
  try {
    const program = await executor.load(c.name, b.build());
    program.run({ inputs: given });
    for (const [name, ref] of wanted) check.equal(name, await program.read(name), ref);
  } finally {
    executor.dispose();
  }
}
