/**
 * One small case or more for every primitive: all functions, attributes that matter to schedules, dtypes, special values, and shapes (with the symbol batch on some axis) from a
 * seed. Used to hold compiled code against the reference evaluation.
 */
import { GraphBuilder } from '../../../ir/builder.js';
import type { Value } from '../../../ir/graph.js';
import type { TensorData } from '../../../ir/tensor-data.js';
import { random } from '../random-graph.js';
import { batchMax, dimsOf, type PrimitiveCase, valuesOf } from './case.js';
import { contractions } from './contractions.js';
import { control } from './control.js';
import { elementwise } from './elementwise.js';
import { gathers } from './gathers.js';
import { reductions } from './reductions.js';
import { shapes } from './shapes.js';
import { sources } from './sources.js';
import { windows } from './windows.js';

export { batchNow, type PrimitiveCase } from './case.js';

/** All cases for a seed. */
export function primitiveCases(seed: number): PrimitiveCase[] {
  const r = random(seed);
  return [...elementwise(r), ...sources(r), ...shapes(r), ...gathers(r), ...reductions(r), ...windows(r), ...contractions(), ...control()];
}

/** Several cases as one graph: inputs and outputs are named by the case's number. */
export function graphOf(cases: readonly PrimitiveCase[]): { graph: ReturnType<GraphBuilder['build']>; inputs: Record<string, TensorData> } {
  const b = new GraphBuilder('primitives');
  b.declareSymbol('batch', batchMax);
  const inputs: Record<string, TensorData> = {};
  cases.forEach((c, i) => {
    const operands = c.inputs.map((x, j) => {
      inputs[`${i}.${j}`] = valuesOf(x);
      return b.input(`${i}.${j}`, x.dtype, dimsOf(x.shape));
    });
    const made = b.withOrigin(`case ${c.name}`, () => c.build(b, operands));
    [made].flat().forEach((v, j) => {
      b.output(`${i}.${j}`, v as Value);
    });
  });
  return { graph: b.build(), inputs };
}
