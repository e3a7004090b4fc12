/** Family `optimizers`: ten steps with given gradients, and the optimizer's state at the end. */

import { iterationSlot, type SymbolicTensor, Trace } from '../../frontend/keras/backend/trace.js';
import { Variable } from '../../frontend/keras/backend/variable.js';
import { ModelLayout } from '../../frontend/keras/models/layout.js';
import { initialContents } from '../../frontend/keras/models/session.js';
import { deserialize, type Optimizer, type OptimizerApi } from '../../frontend/keras/optimizers/index.js';
import type { SerializedObject } from '../../frontend/keras/utils/serialization.js';
import { GraphBuilder } from '../../ir/builder.js';
import type { NumberData, TensorData } from '../../ir/tensor-data.js';
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

/** Our names of the slots that Keras' state names end in. */
const slotNames: Readonly<Record<string, readonly string[]>> = {
  m: ['m', 'momentum'],
  momentum: ['momentum', 'm'],
  v: ['v', 'u'],
  vhat: ['vhat'],
  velocity: ['velocity', 'v'],
  velocity_hat: ['vhat'],
  rms: ['velocity'],
  mg: ['average_gradient'],
  average_gradient: ['average_gradient'],
  accumulator: ['accumulator'],
  u: ['u'],
  norm: ['u'],
  average: ['average'],
};

/** Parameter and slot of a state entry such as `Adam/m/parameter_0:0`, `Adam/parameter_0/m:0` or `adam/variable_1_momentum`. */
function slotOf(name: string, optimizer: Optimizer): { parameter: number; slot: string } | null {
  const bare = name.replace(/:0$/, '');
  const m = /\/(\w+)\/parameter_(\d)$/.exec(bare) ?? null;
  const legacy = /\/parameter_(\d)\/(\w+)$/.exec(bare);
  const keras3 = /\/variable(?:_(\d))?_([a-z_]+)$/.exec(bare);
  const [parameter, slot] = m ? [Number(m[2]), m[1]!] : legacy ? [Number(legacy[1]), legacy[2]!] : keras3 ? [Number(keras3[1] ?? 0), keras3[2]!] : [-1, ''];
  const found = slotNames[slot]?.find((s) => optimizer.allSlots().includes(s));
  return found === undefined ? null : { parameter, slot: found };
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
    const v = new Variable({ path: `parameter_${i}`, shape: ref.shape });
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
    for (const ref of c.state) {
      if (/\/?iter(ation)?(:0)?$/.test(ref.name!)) {
        check.numbers(ref.name!, await executor.readState(iterationSlot), check.array(ref).data);
        continue;
      }
      if (/learning_rate$/.test(ref.name!)) continue;
      const found = slotOf(ref.name!, optimizer);
      check.truth(`a slot for ${ref.name}`, found !== null, true);
      if (found) check.equal(ref.name!, partOf(await executor.readState(optimizer.stateName(found.slot)), found.parameter), ref);
    }
    for (const [i, ref] of (c.finalized ?? []).entries())
      check.equal(`finalized parameter ${i}`, partOf(await executor.readState(optimizer.stateName('average')), i), ref);
  } finally {
    executor.dispose();
  }
}
