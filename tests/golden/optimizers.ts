/** Family `optimizers`: ten steps with given gradients, and the optimizer's state at the end. */

import { iterationSlot, type SymbolicTensor, Trace } from '../../frontend/keras/backend/trace.js';
import { Variable } from '../../frontend/keras/backend/variable.js';
import { ModelLayout } from '../../frontend/keras/models/layout.js';
import { initialContents } from '../../frontend/keras/models/session.js';
import { deserialize, type OptimizerApi } from '../../frontend/keras/optimizers/index.js';
import { optimizerVariables } from '../../frontend/keras/saving/optimizer-variables.js';
import type { SerializedObject } from '../../frontend/keras/utils/serialization.js';
import { GraphBuilder } from '../../ir/builder.js';
import { type NumberData, sizeOf, type TensorData } from '../../ir/tensor-data.js';
import { type ArrayRef, available, type CaseHeader, type Checker, type Target } from './cases.js';

interface OptimizerCase extends CaseHeader {
  readonly optimizer: SerializedObject;
  readonly api: OptimizerApi;
  readonly initial: readonly ArrayRef[];
  readonly gradients: readonly ArrayRef[];
  readonly sparse_rows: ArrayRef | null;
  readonly trajectory: readonly ArrayRef[];
  readonly state: readonly ArrayRef[];
  readonly finalized: readonly ArrayRef[] | null;
}

/** Step `s` of an array with a leading axis of steps. */
function stepOf(t: NumberData, s: number): NumberData {
  const size = t.data.length / t.shape[0]!;
  return { dtype: t.dtype, shape: t.shape.slice(1), data: t.data.subarray(s * size, (s + 1) * size) };
}

/** A sparse gradient as a dense one, and the rows it touches. Repeated rows are summed. */
function densified(g: NumberData, rows: readonly number[]): { gradient: NumberData; touched: NumberData } {
  const width = g.data.length / g.shape[0]!;
  const data = new Float32Array(g.data.length);
  const touched = new Uint8Array(g.shape[0]!);
  rows.forEach((row, i) => {
    touched[row] = 1;
    for (let j = 0; j < width; j++) data[row * width + j]! += g.data[i * width + j]!;
  });
  return { gradient: { ...g, data }, touched: { dtype: 'bool', shape: [g.shape[0]!], data: touched } };
}

export async function runOptimizerCase(json: CaseHeader, check: Checker, target: Target): Promise<void> {
  const c = json as OptimizerCase;
  const optimizer = available(() => deserialize(c.optimizer, c.api));
  const variables = c.initial.map((ref, i) => {
    const v = new Variable({ path: c.api !== 'keras3' ? `parameter_${i}` : i === 0 ? 'variable' : `variable_${i}`, shape: ref.shape });
    v.assign(check.array(ref).data);
    return v;
  });
  const layout = new ModelLayout(variables, []);
  const b = new GraphBuilder(c.name);
  const t = new Trace(b, { training: true, layout });
  const grads = layout.flat.parts.map(({ variable }) => b.input(`gradient_${variables.indexOf(variable)}`, 'float32', variable.shape));
  const touched = new Map<Variable, SymbolicTensor>();
  if (c.sparse_rows && optimizer.updatesTouchedRowsOnly) touched.set(variables[0]!, t.tensor(b.input('touched', 'bool', [variables[0]!.shape[0]!])));
  optimizer.apply(t, layout.flat, grads, touched);
  const graph = b.build();
  const executor = target.executor();
  try {
    const program = await executor.load(c.name, graph);
    for (const s of graph.state) {
      const contents = initialContents(s.name, layout, [optimizer], 0);
      if (contents) executor.writeState(s.name, contents);
    }
    const partOf = (flat: ArrayLike<number>, i: number): TensorData => {
      const { offset } = layout.flat.parts.find((p) => p.variable === variables[i])!;
      return { dtype: 'float32', shape: variables[i]!.shape, data: (flat as Float32Array).subarray(offset, offset + variables[i]!.size) };
    };
    for (let step = 0; step < 10; step++) {
      const given = Object.fromEntries(c.gradients.map((ref, i) => [`gradient_${i}`, stepOf(check.array(ref), step)]));
      if (c.sparse_rows) {
        const d = densified(given.gradient_0!, Array.from(stepOf(check.array(c.sparse_rows), step).data));
        given.gradient_0 = d.gradient;
        if (touched.size > 0) given.touched = d.touched;
      }
      program.run({ inputs: given });
      const flat = await executor.readState(layout.flat.slot);
      c.trajectory.forEach((ref, i) => {
        check.numbers(`parameter ${i} after step ${step}`, partOf(flat, i).data, stepOf(check.array(ref), step).data);
      });
    }
    const kept = optimizerVariables(optimizer, c.api, variables);
    check.truth('number of variables', kept.length, c.state.length);
    for (const [i, v] of kept.entries()) {
      const ref = c.state[i]!;
      const name = ref.name!.replace(/:0$/, '');
      // Keras 3 names some variables after nothing: rows and columns of Adafactor, the momentum product of Nadam
      if (/^(adafactor|nadam)\/variable(_\d)?$/.test(name) === false) check.truth('name of a variable', v.name, name);
      if (v.kind === 'learningRate' || (v.kind === 'scalar' && v.slot === null)) continue;
      if (v.kind === 'iteration') check.numbers(v.name, await executor.readState(iterationSlot), check.array(ref).data);
      else if (v.kind === 'scalar') check.numbers(v.name, await executor.readState(optimizer.stateName(v.slot!)), check.array(ref).data);
      else {
        const inOrder = layout.flat.parts.map((p) => p.variable);
        const { offset, shape } = optimizer.slotLayout(v.slot, inOrder).parts.find((p) => p.variable === variables[v.weight])!;
        const all = await executor.readState(optimizer.stateName(v.slot));
        check.equal(v.name, { dtype: 'float32', shape, data: (all as Float32Array).subarray(offset, offset + sizeOf(shape)) }, ref);
      }
    }
    for (const [i, ref] of (c.finalized ?? []).entries())
      check.equal(`finalized parameter ${i}`, partOf(await executor.readState(optimizer.stateName('average')), i), ref);
  } finally {
    executor.dispose();
  }
}
